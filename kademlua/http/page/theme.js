// The theme: the system's, or the one that was chosen here. Not a module, so that it runs before anything is painted.

{
  const system = matchMedia("(prefers-color-scheme: dark)");
  const names = ["auto", "light", "dark"];

  const chosen = () => {
    try {
      const stored = localStorage.getItem("theme");
      return names.includes(stored) ? stored : "auto";
    } catch { // storage is not permitted
      return "auto";
    }
  };

  /** @param {string} choice */
  const apply = (choice) => {
    const theme = choice === "auto" ? (system.matches ? "dark" : "light") : choice;
    document.documentElement.dataset.theme = theme;
    document.dispatchEvent(new Event("theme"));
  };

  let choice = chosen();
  apply(choice);
  system.addEventListener("change", () => apply(choice));
  document.addEventListener("DOMContentLoaded", () => {
    const select = /** @type {HTMLSelectElement} */ (document.getElementById("theme"));
    select.value = choice;
    select.addEventListener("change", () => {
      choice = select.value;
      apply(choice);
      try {
        localStorage.setItem("theme", choice);
      } catch { /* it lasts until the page is left */ }
    });
  });
}
