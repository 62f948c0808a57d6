/** The row drawn at `y`. */
export function rowAt(y: number, rowHeight: number, open: number[], extra: (index: number) => number): number {
  let above = 0;
  for (const index of open) {
    const end = (index + 1) * rowHeight + above + extra(index);
    if (y < end) return Math.min(index, Math.floor((y - above) / rowHeight));
    above += extra(index);
  }
  return Math.floor((y - above) / rowHeight);
}
