import { compareReports } from './comparison';
import type { Estimate } from './estimate';
import type { EvaluationReport } from './evaluation-report';

/** Rows of measurements beside one another, to be printed or drawn. Plain JSON. */
export interface ReportTable {
  readonly columns: readonly string[];
  readonly rows: readonly ReportRow[];
}

export interface ReportRow {
  readonly label: string;
  /** How many decimals are worth printing. */
  readonly decimals: number;
  /** One for each column; `null` where the report has no such turn. */
  readonly cells: readonly (Estimate | null)[];
}

/** What {@link reportTable} reads: an {@link EvaluationReport} or an `EvaluationComparison`. */
type Measured = Pick<EvaluationReport, 'average' | 'nIR' | 'nR2' | 'profileF1Average' | 'profileF1Last' | 'malformedRate'> & {
  readonly turns: readonly { readonly profileF1: Estimate; readonly alignment: Estimate }[];
};

/**
 * Named reports as one table: F1@k, its mean, AL@k, AVG, N-IR, N-R², malformed.
 *
 * @example
 * import { type EvaluationReport, reportTable } from 'rlpa';
 * const ablationTable = (profile: EvaluationReport, response: EvaluationReport, both: EvaluationReport) =>
 *   reportTable({ profile, response, both }); // columns: ['profile', 'response', 'both']
 */
export function reportTable(reports: Readonly<Record<string, Measured>>): ReportTable {
  const measured = Object.values(reports);
  const turns = Array.from({ length: Math.max(0, ...measured.map((report) => report.turns.length)) }, (_, k) => k);
  const row = (label: string, decimals: number, read: (report: Measured) => Estimate | undefined): ReportRow => ({
    label,
    decimals,
    cells: measured.map((report) => read(report) ?? null),
  });
  return {
    columns: Object.keys(reports),
    rows: [
      ...turns.map((k) => row(`F1@${k + 1}`, 3, (report) => report.turns[k]?.profileF1)),
      row('F1 over all turns', 3, (report) => report.profileF1Average),
      row('F1 at the last turn', 3, (report) => report.profileF1Last),
      ...turns.map((k) => row(`AL@${k + 1} %`, 1, (report) => report.turns[k]?.alignment)),
      row('AVG %', 1, (report) => report.average),
      row('N-IR', 3, (report) => report.nIR),
      row('N-R²', 3, (report) => report.nR2),
      row('malformed %', 1, (report) => scale(report.malformedRate, 100)),
    ],
  };
}

/** Two evaluations of the same users and the paired difference. */
export function beforeAfterTable(before: EvaluationReport, after: EvaluationReport): ReportTable {
  return reportTable({ before, after, difference: compareReports(before, after) });
}

function scale({ mean, se, n }: Estimate, factor: number): Estimate {
  return { mean: mean === null ? null : mean * factor, se: se === null ? null : se * factor, n };
}
