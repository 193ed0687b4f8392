// The home in the page's address, so that an estimate can be shared, reloaded and gone back to.

export function homeInAddress(form) {
  const given = new URLSearchParams(location.search);
  const home = {};
  for (const input of form.querySelectorAll("[name]")) {
    if (given.get(input.name)) home[input.name] = given.get(input.name);
  }
  return home;
}

export function putIntoAddress(home) {
  const address = Object.keys(home).length ? `?${new URLSearchParams(home)}` : location.pathname;
  if (address !== (location.search || location.pathname)) history.pushState(null, "", address);
}
