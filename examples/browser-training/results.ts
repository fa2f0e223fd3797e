import type { ReportTable } from 'rlpa';
import { element, node } from './page';

/** The rows that sum up the others. */
const wanted = /^(?:F1@|F1 at|AVG|malformed)/;

/** What was measured before and after, value ± standard error. */
export function showResults({ columns, rows }: ReportTable): void {
  const head = document.createElement('tr');
  head.append(...['', ...columns].map((name) => scoped(node('th', name), 'col')));
  const body = rows
    .filter(({ label }) => wanted.test(label))
    .map(({ label, decimals, cells }) => {
      const row = document.createElement('tr');
      const texts = cells.map((cell) =>
        cell?.mean == null ? '–' : `${cell.mean.toFixed(decimals)}${cell.se == null ? '' : ` ± ${cell.se.toFixed(decimals)}`}`,
      );
      row.append(scoped(node('th', label), 'row'), ...texts.map((text) => node('td', text)));
      return row;
    });
  element('table').replaceChildren(head, ...body);
  element('results').hidden = false;
}

function scoped(cell: HTMLElement, scope: string): HTMLElement {
  cell.setAttribute('scope', scope);
  return cell;
}
