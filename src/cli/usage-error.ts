/** Options that do not go together or lack something: the command line ends with exit code 2. */
export class UsageError extends Error {}
