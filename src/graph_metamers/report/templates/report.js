"use strict";
(() => {
  // The figures are stored in the light colours; the dark scheme replaces each by its partner.
  const DARK = {{ recolouring }};
  const NARROW = 480;
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const narrow = window.matchMedia(`(max-width: ${NARROW}px)`);
  const stored = new Map(
    [...document.querySelectorAll("script[data-plot]")].map((e) => [e.dataset.plot, JSON.parse(e.textContent)])
  );

  const recoloured = (value) => {
    if (typeof value === "string") return DARK[value] ?? value;
    if (Array.isArray(value)) return value.map(recoloured);
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, recoloured(part)]));
  };

  const fitted = (layout) => {
    const margin = { l: 46, r: 6, t: 10, b: 46 };
    // No room for words inside the figure: the legend above it says the same.
    const small = { ...layout, margin, annotations: [], font: { ...layout.font, size: 12 } };
    return narrow.matches ? small : layout;
  };

  const draw = (isDark) => {
    for (const [id, figure] of stored) {
      const { data, layout } = isDark ? recoloured(figure) : structuredClone(figure);
      Plotly.react(id, data, { ...fitted(layout), autosize: true }, { displayModeBar: false, responsive: true });
    }
  };

  const redraw = () => draw(dark.matches);
  dark.addEventListener("change", redraw);
  narrow.addEventListener("change", redraw);
  // Paper is light.
  window.addEventListener("beforeprint", () => draw(false));
  window.addEventListener("afterprint", redraw);
  redraw();
})();
