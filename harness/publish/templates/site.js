// Search and filters of the index, and the choice of two reports to read side by side. Without it everything is shown.
(() => {
  const index = document.querySelector(".reports");
  const beside = document.querySelector(".beside");

  const filtered = (form) => {
    const reports = [...index.children];
    const filter = () => {
      const words = form.elements.text.value.toLowerCase().split(/\s+/).filter(Boolean);
      const machine = form.elements.machine.value;
      const platform = form.elements.platform.value;
      let shown = 0;
      for (const report of reports) {
        const text = `${report.textContent} ${[...report.querySelectorAll("[title]")].map((each) => each.title).join(" ")}`.toLowerCase();
        const fits = (!machine || report.dataset.machine === machine)
          && (!platform || report.dataset.platforms.split("\n").includes(platform))
          && words.every((word) => text.includes(word));
        report.hidden = !fits;
        shown += fits;
      }
      form.querySelector("output").textContent = shown === reports.length ? "" : `${shown} of ${reports.length}`;
    };
    form.addEventListener("input", filter);
    filter();
  };

  const chosen = (form) => {
    const { left, right } = form.elements;
    const names = [...left.options].map((option) => option.value);
    const cells = [...beside.querySelectorAll("[data-report]")];
    const show = () => {
      for (const cell of cells) cell.hidden = ![left.value, right.value].includes(cell.dataset.report);
      for (const row of beside.tBodies[0].rows) {
        const shown = [...row.querySelectorAll("[data-report]")].filter((cell) => !cell.hidden);
        row.hidden = shown.length > 0 && shown.every((cell) => !cell.querySelector("data"));
      }
    };
    const follow = () => {
      const wanted = location.hash.slice(1).split("+").filter((name) => names.includes(name));
      left.value = wanted[0] ?? names[0];
      right.value = wanted[1] ?? names.find((name) => name !== left.value) ?? names[0];
      show();
    };
    form.addEventListener("input", () => {
      history.replaceState(null, "", `#${left.value}+${right.value}`);
      show();
    });
    addEventListener("hashchange", follow);
    beside.classList.add("two");
    follow();
  };

  const form = document.querySelector(".filters");
  if (index) filtered(form);
  if (beside) chosen(form);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.hidden = false;
})();
