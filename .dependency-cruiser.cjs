/**
 * The layers of docs/architecture.md, lowest first: a folder imports from its own layer and from those below. `npm run lint` checks it.
 */
const layers = [
  ['errors', 'random', 'deadline', 'mean', 'quoted', 'telemetry', 'time-slice', 'json-object', 'remember', 'optional'],
  ['profile', 'chat', 'language', 'tensor', 'device'],
  ['simulation', 'reward', 'transformer'],
  ['environment', 'policy'],
  ['training', 'agent', 'evaluation'],
  ['adapters'],
  ['agent-entry'],
  ['index', 'testing'],
  ['node'],
  ['experiments', 'server', 'node-entry'],
  ['server-entry'],
  ['cli'],
];

/** Two columns that meet only in policy and above: dialogues on the left, the engine on the right. */
const left = ['profile', 'chat', 'language', 'simulation', 'reward', 'environment'];
const right = ['tensor', 'device', 'transformer'];

/** The one way up, from policy to node. */
const policyHost = '^src/node/policy-host\\.ts$';

/** Folders, or single files of the same name, directly under src. */
const under = (names) => `^src/(${names.join('|')})(/|\\.ts$)`;

/** A type leaves nothing behind in JavaScript, so a seam may name another's types. */
const atRunTime = { dependencyTypesNot: ['type-only'] };

/** @type {import('dependency-cruiser').IConfiguration} */
module.exports = {
  forbidden: [
    ...layers.slice(0, -1).map((names, i) => ({
      name: `layers-run-downwards (${names.join(', ')})`,
      comment: 'A lower layer must not know a higher one: move what both need down, or pass it in.',
      severity: 'error',
      from: { path: under(names) },
      to: { path: under(layers.slice(i + 1).flat()), ...(names.includes('policy') ? { pathNot: policyHost } : {}) },
    })),
    {
      name: 'policy-host-when-asked-for',
      comment:
        'LocalPolicy.load, create and save reach up to Node for a device and for files, by import() alone: package.json resolves #policy-host to it in Node only, so that the core stays free of built-ins.',
      severity: 'error',
      from: { path: '^src/' },
      to: { path: policyHost, dynamic: false },
    },
    {
      name: 'every-folder-has-a-layer',
      comment: 'A new folder under src needs its place in the list at the top of .dependency-cruiser.cjs.',
      severity: 'error',
      from: {},
      to: { path: '^src/', pathNot: under(layers.flat()) },
    },
    ...[
      [left, right],
      [right, left],
    ].map(([from, to]) => ({
      name: `columns-meet-in-policy (${from.join(', ')})`,
      comment: 'Dialogues and the engine know of each other only through policy.',
      severity: 'error',
      from: { path: under(from) },
      to: { path: under(to), ...atRunTime },
    })),
    {
      name: 'folders-through-their-index',
      comment: "Another folder's files are reached through its index.ts, which lists what it offers.",
      severity: 'error',
      from: { path: '^src/([^/]+)/' },
      to: {
        path: '^src/[^/]+/',
        pathNot: ['^src/$1/', '^src/[^/]+/index\\.ts$', '^src/device/[^/]+/index\\.ts$', policyHost],
        ...atRunTime,
      },
    },
    {
      name: 'browser-safe',
      comment:
        'Node built-ins only in node, cli, server, experiments and device/cpu: the rest runs in a browser. What rlpa/tiny takes of experiments does too, which a test sees to that bundles it.',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/((node|cli|server|experiments)/|device/cpu/)' },
      to: { dependencyTypes: ['core'] },
    },
    {
      name: 'no-cycles-between-folders',
      comment: 'Within a folder, two operations may be each other’s gradient.',
      severity: 'error',
      from: { path: '^src/([^/]+)/' },
      to: { circular: true, pathNot: '^src/$1/', viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    {
      name: 'declared-dependencies',
      comment: 'What src loads must come with the package, or be a peer dependency that its user installs.',
      severity: 'error',
      from: { path: '^src/' },
      to: { dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown'], dependencyTypesNot: ['npm-peer', 'npm-optional', 'type-only'] },
    },
    {
      name: 'no-tests-in-src',
      severity: 'error',
      from: { path: '^src/' },
      to: { path: '^(test|examples|docs)/' },
    },
    {
      name: 'resolvable',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsConfig: { fileName: 'tsconfig.json' },
    tsPreCompilationDeps: 'specify',
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default', 'types'] },
  },
};
