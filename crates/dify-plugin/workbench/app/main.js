// Starts the page: token, choices, address, server, and the shell. What is drawn is in shell.js and the views.
import { html, render } from "./dom.js";
import { start } from "./plugin.js";
import { followAddress } from "./route.js";
import { recall } from "./settings.js";
import { takeToken, token } from "./token.js";
import { NoToken, Shell } from "./shell.js";

takeToken();
recall();
followAddress();
const page = document.getElementById("page");
page.replaceChildren();
if (token()) {
  start();
  render(html`<${Shell} />`, page);
} else {
  render(html`<${NoToken} />`, page);
}
// The address with another token was opened in this tab.
addEventListener("hashchange", () => {
  if (location.hash.startsWith("#token=")) {
    takeToken();
    location.reload();
  }
});
