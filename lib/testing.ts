/**
 * The public entry point `coreactor/testing`: re-exports only.
 *
 * @module
 */
export { allParked } from './testing/all-parked.js'
export type { Fault, Faults, FaultyOperation } from './testing/fault.js'
export { FaultyKernel, type FaultyKernelOptions } from './testing/faulty-kernel.js'
export type { MemoryFileContents } from './testing/memory-files.js'
export type { MemoryName, MemoryNames } from './testing/memory-jobs.js'
export { MemoryKernel, type MemoryKernelOptions, type MemoryRoute } from './testing/memory-kernel.js'
export { memoryPair, type MemoryPair, type Wire } from './testing/memory-pair.js'
export { Sequencer } from './testing/sequencer.js'
