import Table from 'cli-table3';
import type { Estimate, ReportTable } from '../evaluation/index';

/**
 * A report table for a terminal: every cell is "value ± standard error". Where the terminal is too narrow for lines and spaces, the
 * numbers stand without them.
 *
 * @param width of the terminal, in columns
 */
export function renderTable(report: ReportTable, width = Number.POSITIVE_INFINITY): string {
  const text = lines(report);
  return text.indexOf('\n') <= width ? text : bare(report);
}

function lines({ columns, rows }: ReportTable): string {
  const table = new Table({
    head: ['', ...columns],
    colAligns: ['left', ...columns.map(() => 'right' as const)],
    style: { head: [], border: [], compact: true },
  });
  for (const row of rows) table.push([row.label, ...row.cells.map((cell) => renderEstimate(cell, row.decimals))]);
  return table.toString();
}

function bare({ columns, rows }: ReportTable): string {
  const cells = [['', ...columns], ...rows.map(({ label, cells, decimals }) => [label, ...cells.map((cell) => narrow(cell, decimals))])];
  const widths = cells[0]!.map((_, column) => Math.max(...cells.map((row) => row[column]!.length)));
  const line = ([label, ...values]: readonly string[]) =>
    [label!.padEnd(widths[0]!), ...values.map((value, index) => value.padStart(widths[index + 1]!))].join('  ');
  return cells.map(line).join('\n');
}

const narrow = (cell: Estimate | null, decimals: number) => renderEstimate(cell, decimals).replaceAll(' ', '');

/** Such as `0.500 ± 0.049`. */
export function renderEstimate(cell: Estimate | null, decimals: number): string {
  if (cell === null || cell.mean === null) return '–';
  return cell.se === null ? cell.mean.toFixed(decimals) : `${cell.mean.toFixed(decimals)} ± ${cell.se.toFixed(decimals)}`;
}
