// Figures as files.
const COLUMNS = ["metric", "name", "role", "value", "low", "high", "difference", "difference_low", "difference_high", "p", "verdict"];

/** A cell of CSV; what a spreadsheet would take for a formula is kept from being one. */
function cell(value) {
  if (value === null || value === undefined) return "";
  if (typeof value === "number") return String(value);
  const text = /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value);
  return `"${text.replaceAll('"', '""')}"`;
}

export const saveJson = (data, name) => save(JSON.stringify(data, null, 2), "application/json", `${name}.json`);
export const saveCsv = (figures, name) => save([COLUMNS.join(","), ...figures.map((one) => COLUMNS.map((column) => cell(one[column])).join(","))].join("\n"), "text/csv", `${name}.csv`);

function save(text, type, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name.replace(/[^\w.@-]+/g, "_");
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
