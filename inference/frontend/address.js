// The home in the page's address, so that an estimate can be shared, reloaded and gone back to.

const LANGUAGE = "lang";

export function homeInAddress(form) {
  const given = new URLSearchParams(location.search);
  const home = {};
  for (const input of form.querySelectorAll("[name]")) {
    if (given.get(input.name)) home[input.name] = given.get(input.name);
  }
  return home;
}

export function putIntoAddress(home) {
  const chosen = new URLSearchParams(location.search).get(LANGUAGE);
  const query = new URLSearchParams(chosen ? { ...home, [LANGUAGE]: chosen } : home);
  const address = query.size ? `?${query}` : location.pathname;
  if (address !== (location.search || location.pathname)) history.pushState(null, "", address);
}

// Another language shows the same home.
export function keepInLinks(links, home) {
  for (const link of links) link.search = new URLSearchParams({ ...home, [LANGUAGE]: link.hreflang });
}
