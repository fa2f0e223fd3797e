import Table from 'cli-table3';
import type { Estimate, ReportTable } from '../evaluation/index';

/** A report table for a terminal: every cell is "value ± standard error". */
export function renderTable({ columns, rows }: ReportTable): string {
  const table = new Table({
    head: ['', ...columns],
    colAligns: ['left', ...columns.map(() => 'right' as const)],
    style: { head: [], border: [], compact: true },
  });
  for (const row of rows) table.push([row.label, ...row.cells.map((cell) => renderEstimate(cell, row.decimals))]);
  return table.toString();
}

/** @example renderEstimate({ mean: 0.5, se: 0.0491, n: 64 }, 3); // '0.500 ± 0.049' */
export function renderEstimate(cell: Estimate | null, decimals: number): string {
  if (cell === null || cell.mean === null) return '–';
  return cell.se === null ? cell.mean.toFixed(decimals) : `${cell.mean.toFixed(decimals)} ± ${cell.se.toFixed(decimals)}`;
}
