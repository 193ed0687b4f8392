"""The supply chain: pinned images and actions, licences, secrets, vulnerabilities and the SBOM (`make audit`)."""
