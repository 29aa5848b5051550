/** The public entry point `coreactor/testing`: re-exports only. */
export { allParked } from './testing/all-parked.js'
export { MemoryKernel, type MemoryKernelOptions } from './testing/memory-kernel.js'
export { memoryPair, type MemoryPair, type Wire } from './testing/memory-pair.js'
export { Sequencer } from './testing/sequencer.js'
