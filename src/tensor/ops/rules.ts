import type { GradientRule } from '../gradient';
import type { OperationName } from '../operations';
import { addRule } from './add';
import { attentionRule } from './attention';
import { broadcastRule } from './broadcast';
import { exponentialRule } from './exponential';
import { gatherRule } from './gather';
import { greaterOrEqualRule } from './greater-or-equal';
import { headLogProbabilityRule } from './head-log-probability';
import { matmulRule } from './matmul';
import { maximumRule } from './maximum';
import { minimumRule } from './minimum';
import { multiplyRule } from './multiply';
import { reshapeRule } from './reshape';
import { rmsNormRule } from './rms-norm';
import { rotaryRule } from './rotary';
import { scaleRule } from './scale';
import { scatterAddRule } from './scatter-add';
import { subtractRule } from './subtract';
import { sumRule } from './sum';
import { sumRowsRule } from './sum-rows';
import { swigluRule } from './swiglu';

/** The gradient of each operation that has one. */
export const gradientRules: Partial<Record<OperationName, GradientRule>> = {
  add: addRule,
  subtract: subtractRule,
  multiply: multiplyRule,
  minimum: minimumRule,
  maximum: maximumRule,
  greaterOrEqual: greaterOrEqualRule,
  scale: scaleRule,
  exponential: exponentialRule,
  sum: sumRule,
  sumRows: sumRowsRule,
  broadcast: broadcastRule,
  reshape: reshapeRule,
  matmul: matmulRule,
  gather: gatherRule,
  scatterAdd: scatterAddRule,
  rmsNorm: rmsNormRule,
  rotary: rotaryRule,
  attention: attentionRule,
  swiglu: swigluRule,
  headLogProbability: headLogProbabilityRule,
};
