// Sorting and filtering of the table of comparisons; both stand in the address (#?platform=docker&sort=Slowdown), so
// that a view can be linked to. Without it the table is whole and in the report's own order.
(() => {
  const table = document.querySelector(".comparisons");
  const form = document.querySelector(".filters");
  if (!table || !form) return;
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const heads = [...table.tHead.rows[0].cells];
  const fields = ["text", "task", "platform", "stack", "verdict"];
  let sorted = "";

  const value = (row, column) => {
    const figure = row.cells[column].querySelector("data");
    return figure ? Number(figure.value) : row.cells[column].textContent.trim();
  };
  const compare = (a, b) => {
    if (typeof a === "number" && typeof b === "number") return a - b;
    if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
    return a.localeCompare(b, "en", { numeric: true });
  };
  const sort = (column, descending) => {
    heads.forEach((head) => head.removeAttribute("aria-sort"));
    heads[column].setAttribute("aria-sort", descending ? "descending" : "ascending");
    body.append(...[...rows].sort((a, b) => compare(value(a, column), value(b, column)) * (descending ? -1 : 1)));
    sorted = (descending ? "-" : "") + heads[column].textContent.trim();
  };
  const filter = () => {
    const wanted = form.elements.text.value.trim().toLowerCase();
    const chosen = Object.fromEntries(fields.slice(1).map((name) => [name, form.elements[name].value]));
    let shown = 0;
    for (const row of rows) {
      const fits = ["task", "platform", "stack"].every((name) => !chosen[name] || row.dataset[name] === chosen[name])
        && (!chosen.verdict || row.dataset.verdict.split("|").includes(chosen.verdict))
        && row.textContent.toLowerCase().includes(wanted);
      row.hidden = !fits;
      shown += fits;
    }
    form.querySelector("output").textContent = shown === rows.length ? "" : `${shown} of ${rows.length}`;
  };
  const remember = () => {
    const view = new URLSearchParams(fields.map((name) => [name, form.elements[name].value]).filter(([, text]) => text));
    if (sorted) view.set("sort", sorted);
    history.replaceState(null, "", `#${view.size ? `?${view}` : "comparisons"}`);
  };
  const recall = () => {
    if (!location.hash.startsWith("#?")) return reveal();
    const view = new URLSearchParams(location.hash.slice(2));
    for (const name of fields) {
      const known = form.elements[name].options;
      const text = view.get(name) ?? "";
      form.elements[name].value = !known || [...known].some((option) => option.value === text) ? text : "";
    }
    const order = view.get("sort") ?? "";
    const column = heads.findIndex((head) => head.textContent.trim() === order.replace(/^-/, ""));
    if (column >= 0) sort(column, order.startsWith("-"));
    filter();
    document.getElementById("comparisons").scrollIntoView();
  };
  // A link to a row that the filter hides shows all rows again.
  const reveal = () => {
    const row = rows.find((each) => each.id && `#${each.id}` === location.hash);
    if (!row || !row.hidden) return;
    for (const name of fields) form.elements[name].value = "";  // no reset: that writes the address anew
    filter();
    row.scrollIntoView();
  };

  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    button.addEventListener("click", () => {
      sort(column, head.getAttribute("aria-sort") === "ascending");
      remember();
    });
    head.append(button);
  });
  form.addEventListener("input", () => { filter(); remember(); });
  form.addEventListener("reset", () => setTimeout(() => { filter(); remember(); }));
  form.addEventListener("submit", (event) => event.preventDefault());
  window.addEventListener("hashchange", recall);
  form.hidden = false;
  recall();
})();
