/**
 * The addons that the package carries, as literal paths: CommonJS, and nothing but these, so that a bundler sees each file
 * and takes it along. With `process.platform` and `process.arch` defined it takes only those that can be needed. Which
 * C library this is, and all that can be said when nothing fits, is for `addon.ts`.
 */

/** Loads the one for this system; undefined if there is none. Throws what the system's loader says. */
function prebuilt(musl: boolean): unknown {
  if (process.platform === 'linux') {
    if (process.arch === 'x64') {
      if (musl) return require('../../prebuilds/linux-x64/coreactor.musl.node')
      return require('../../prebuilds/linux-x64/coreactor.glibc.node')
    }
    if (process.arch === 'arm64') {
      if (musl) return require('../../prebuilds/linux-arm64/coreactor.musl.node')
      return require('../../prebuilds/linux-arm64/coreactor.glibc.node')
    }
  }
  if (process.platform === 'darwin') {
    if (process.arch === 'x64') return require('../../prebuilds/darwin-x64/coreactor.node')
    if (process.arch === 'arm64') return require('../../prebuilds/darwin-arm64/coreactor.node')
  }
  return undefined
}

export = prebuilt
