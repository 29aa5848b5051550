/** The public entry point `coreactor/testing`: re-exports only. */
export { MemoryKernel, type MemoryKernelOptions } from './testing/memory-kernel.js'
