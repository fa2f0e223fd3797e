import {
  beforeAfterTable,
  compareReports,
  type EvaluationComparison,
  type EvaluationReport,
  type ReportTable,
  reportTable,
} from '../evaluation/index';
import type {
  AgentTurnRecord,
  EvaluationOptions,
  ExperimentOptions,
  ExperimentResult,
  RewardMode,
  TrainingTotals,
} from '../experiments/index';
import type { CommandContext, OutputFlags } from './context';
import { describeModelUse, type ModelUse } from './model-use';
import { describeDuration } from './pace';
import { shellCommand } from './shell-command';
import { renderTable } from './table';
import { painter, printLine } from './terminal';

/** What a command found: `json` for machines, the rest for people. */
export interface Outcome {
  readonly json: Readonly<Record<string, unknown>>;
  readonly title: string;
  readonly table: ReportTable;
  readonly reports: Readonly<Record<string, EvaluationReport>>;
  /** What happened in training, by its name in the text. */
  readonly trainings?: Readonly<Record<string, TrainingTotals>>;
  readonly models: ModelUse;
  readonly agentTurns?: readonly AgentTurnRecord[];
  /** Where what was trained is kept, if it is, by its name in the text. */
  readonly policies?: Readonly<Record<string, string | undefined>>;
  readonly seconds: number;
}

interface ExperimentJson extends ExperimentResult {
  readonly difference: EvaluationComparison;
}

export function experimentOutcome(
  command: string,
  options: ExperimentOptions,
  result: ExperimentResult,
  models: ModelUse,
  seconds: number,
): Outcome {
  const { before, after, training } = result;
  return {
    json: { command, ...settings(options), ...experimentJson(result), models, seconds },
    title: `${after.users} held-out users, value ± standard error`,
    table: beforeAfterTable(before, after),
    reports: { before, after },
    trainings: { training },
    models,
    agentTurns: result.agentTurns,
    policies: { policy: result.trainedPolicyFolder },
    seconds,
  };
}

/** The three-way ablation as one table. One seed gives all three the same warm start; the table shows how it measured before the last. */
export function ablationOutcome(
  options: ExperimentOptions,
  results: Record<RewardMode, ExperimentResult>,
  models: ModelUse,
  seconds: number,
): Outcome {
  const { profile, response, both } = results;
  const reports = { before: both.before, profile: profile.after, response: response.after, both: both.after };
  const table = reportTable(reports);
  const ablation = Object.fromEntries(Object.entries(results).map(([reward, result]) => [reward, experimentJson(result)]));
  const { reward: _, ...rest } = settings(options);
  return {
    json: { command: 'train', ...rest, ablation, table, models, seconds },
    title: `Ablation of the reward: ${both.after.users} held-out users, value ± standard error`,
    table,
    reports,
    trainings: {
      'training for profile': profile.training,
      'training for response': response.training,
      'training for both': both.training,
    },
    policies: {
      'policy trained for profile': profile.trainedPolicyFolder,
      'policy trained for response': response.trainedPolicyFolder,
      'policy trained for both': both.trainedPolicyFolder,
    },
    models,
    seconds,
  };
}

export function evaluationOutcome(options: EvaluationOptions, report: EvaluationReport, models: ModelUse, seconds: number): Outcome {
  return {
    json: { command: 'eval', ...evaluationSettings(options), report, models, seconds },
    title: `${report.users} users, value ± standard error`,
    table: reportTable({ [report.policy]: report }),
    reports: { [report.policy]: report },
    models,
    seconds,
  };
}

/** With `--json` one JSON object on one line; otherwise a table, what went wrong, the agent's turns and where the policy is. */
export function printOutcome(outcome: Outcome, { terminal }: CommandContext, flags: OutputFlags): void {
  const { stdout } = terminal;
  if (flags.json) {
    printLine(stdout, JSON.stringify(outcome.json));
    return;
  }
  const paint = painter(terminal, 'stdout');
  printLine(stdout, `\n${paint('bold', outcome.title)}`);
  printLine(stdout, renderTable(outcome.table, stdout.columns));
  for (const [name, report] of Object.entries(outcome.reports)) {
    for (const note of caveats(report)) printLine(stdout, `${name}: ${note}`);
  }
  for (const [name, totals] of Object.entries(outcome.trainings ?? {})) {
    for (const note of trainingCaveats(totals)) printLine(stdout, `${name}: ${note}`);
  }
  for (const line of describeModelUse(outcome.models)) printLine(stdout, line);
  for (const turn of outcome.agentTurns ?? []) {
    printLine(stdout, `\n${paint('dim', 'user ')} ${turn.message}\n${paint('dim', 'agent')} ${turn.reply}`);
    printLine(stdout, paint('dim', `      knows ${describeProfile(turn.profile)}`));
  }
  printLine(stdout, `\nTook ${describeDuration(outcome.seconds)}.`);
  for (const [name, folder] of Object.entries(outcome.policies ?? {})) {
    if (folder) printLine(stdout, `The ${name} is in ${folder}. Talk to it: ${shellCommand('chat', '--policy', folder)}`);
  }
}

/** What a reader of the table must know to trust it. */
function caveats(report: EvaluationReport): string[] {
  const notes: string[] = [];
  if (report.unjudged > 0) notes.push(`${report.unjudged} replies could not be judged and are left out of AL.`);
  if (report.truncatedRate > 0) notes.push(`${(100 * report.truncatedRate).toFixed(1)} % of outputs were cut off by the token limit.`);
  if (report.tooLong > 0) notes.push(`${report.tooLong} dialogues grew longer than the policy can read and ended early.`);
  const [first] = report.failures;
  if (first) notes.push(`${report.failures.length} dialogues broke off, the first with: ${first.failure}`);
  return notes;
}

function trainingCaveats(totals: TrainingTotals): string[] {
  const { iterations, episodes, failedEpisodes, tooLongEpisodes, turns, unjudgedTurns, skippedIterations } = totals;
  const notes: [count: number, note: string][] = [
    [unjudgedTurns, `${unjudgedTurns} of ${turns} turns had no verdict and were masked.`],
    [failedEpisodes, `${failedEpisodes} of ${episodes} dialogues broke off; the turns before were used.`],
    [tooLongEpisodes, `${tooLongEpisodes} of ${episodes} dialogues grew longer than the policy can read and ended there.`],
    [skippedIterations, `${skippedIterations} of ${iterations} iterations changed nothing: all advantages were equal.`],
  ];
  return notes.filter(([count]) => count > 0).map(([, note]) => note);
}

/** Such as `occupation: nurse · interests: hiking, jazz`. */
export function describeProfile(profile: Readonly<Record<string, unknown>>): string {
  const slots = Object.entries(profile).map(([slot, value]) => `${slot}: ${Array.isArray(value) ? value.join(', ') : String(value)}`);
  return slots.length > 0 ? slots.join(' · ') : 'nothing yet';
}

function experimentJson(result: ExperimentResult): ExperimentJson {
  return { ...result, difference: compareReports(result.before, result.after) };
}

/** The options as the caller gave them, models by name. JSON leaves the functions out; the signal is no option of the run. */
function settings({ signal: _, userModel, judgeModel, ...options }: RunSettings): Record<string, unknown> {
  return { ...options, userModel: userModel?.name, judgeModel: judgeModel?.name };
}

type RunSettings = Pick<ExperimentOptions, 'signal' | 'userModel' | 'judgeModel'>;

function evaluationSettings({ subject, ...options }: EvaluationOptions): Record<string, unknown> {
  return { ...settings(options), ...('chatModel' in subject ? { chatModel: subject.chatModel.name } : subject) };
}
