// The token of this start of the workbench: out of the address into the memory of this tab, and out of sight.

const KEY = "workbench.token";

/** Takes `#token=…` out of the address, keeps it for this tab, and leaves the address without it. */
export function takeToken() {
  const fragment = new URLSearchParams(location.hash.replace(/^#/, ""));
  const token = fragment.get("token");
  if (token) {
    sessionStorage.setItem(KEY, token);
    const view = fragment.get("view");
    history.replaceState(null, "", `${location.pathname}#/${view && /^[\w/.%-]+$/.test(view) ? view.replace(/^\//, "") : "drawn"}`);
  }
}

/** @returns {string|null} */
export function token() {
  return sessionStorage.getItem(KEY);
}
