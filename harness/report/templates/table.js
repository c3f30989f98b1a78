// Sorting and filtering of the table of comparisons. Without it the table is whole and in the report's own order.
(() => {
  const table = document.querySelector(".comparisons");
  const form = document.querySelector(".filters");
  if (!table || !form) return;
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const heads = [...table.tHead.rows[0].cells];

  const value = (row, column) => {
    const figure = row.cells[column].querySelector("data");
    return figure ? Number(figure.value) : row.cells[column].textContent.trim();
  };
  const compare = (a, b) => {
    if (typeof a === "number" && typeof b === "number") return a - b;
    if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
    return a.localeCompare(b, "en", { numeric: true });
  };
  const sort = (column) => {
    const descending = heads[column].getAttribute("aria-sort") === "ascending";
    heads.forEach((head) => head.removeAttribute("aria-sort"));
    heads[column].setAttribute("aria-sort", descending ? "descending" : "ascending");
    const sorted = [...rows].sort((a, b) => compare(value(a, column), value(b, column)) * (descending ? -1 : 1));
    body.append(...sorted);
  };
  const filter = () => {
    const wanted = form.elements.text.value.trim().toLowerCase();
    const platform = form.elements.platform.value;
    const verdict = form.elements.verdict.value;
    let shown = 0;
    for (const row of rows) {
      const fits = (!platform || row.dataset.platform === platform)
        && (!verdict || row.dataset.verdict.split("|").includes(verdict))
        && row.textContent.toLowerCase().includes(wanted);
      row.hidden = !fits;
      shown += fits;
    }
    form.querySelector("output").textContent = shown === rows.length ? "" : `${shown} of ${rows.length}`;
  };

  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    button.addEventListener("click", () => sort(column));
    head.append(button);
  });
  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.hidden = false;
})();
