/**
 * The public entry point `coreactor/testing`: re-exports only.
 *
 * @module
 */
export { allParked } from './testing/all-parked.js'
export { FaultyKernel, type Fault, type Faults, type FaultyKernelOptions, type FaultyOperation } from './testing/faulty-kernel.js'
export type { MemoryName, MemoryNames } from './testing/memory-jobs.js'
export { MemoryKernel, type MemoryKernelOptions, type MemoryRoute } from './testing/memory-kernel.js'
export { memoryPair, type MemoryPair, type Wire } from './testing/memory-pair.js'
export { Sequencer } from './testing/sequencer.js'
