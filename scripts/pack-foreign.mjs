/** For scripts/pack-test.mjs: the addons that are not for this machine, as far as what is installed can run them. */
import { existsSync } from 'node:fs'

export async function foreignChecks({ notRun }) {
  if (!existsSync('/nowhere')) notRun.push('arm64, musl')
}
