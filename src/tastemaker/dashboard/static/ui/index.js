// All components, one file each or a family in one.
export { Button, Copy } from "./button.js";
export { Card, Page } from "./card.js";
export { Bars, Spark } from "./bars.js";
export { Chart } from "./chart.js";
export { Confirm, Dialog } from "./dialog.js";
export { Badge, Note, Progress, Stat } from "./facts.js";
export { Field, Input, Search, Select, Tabs, Toggle } from "./field.js";
export { Icon } from "./icon.js";
export { ItemCard, Picture } from "./item.js";
export { ItemSearch } from "./item-search.js";
export { Scatter } from "./scatter.js";
export { Empty, Loading, Problem } from "./states.js";
export { Table } from "./table.js";
export { Tip } from "./tip.js";
export { UserSearch } from "./user-search.js";
export { Toasts, toast } from "./toast.js";
