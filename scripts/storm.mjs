/**
 * `npm run test:storm`: workers that are terminated at random moments, with files, names, sockets and timers in flight, on
 * an addon that was built with AddressSanitizer, and on one with ThreadSanitizer. Fails if the storm does, or if a
 * sanitizer has anything to say. An addon with one mistake of each kind is tried first, which has to be reported.
 *
 *   node scripts/storm.mjs [--short] [address | thread]
 */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { setup, root } from './setup.mjs'
import { buildNative, withoutAslr } from './native-build.mjs'

const SUPPRESSIONS = join(root, 'native/test/node.supp')

/** Node itself is not instrumented: it is not asked for leaks, and races in which the addon has no part are left out. */
const SANITIZERS = {
  address: { library: 'libasan.so', env: { ASAN_OPTIONS: 'detect_leaks=0' }, mistake: 'useAfterFree', report: 'heap-use-after-free' },
  thread: { library: 'libtsan.so', env: { TSAN_OPTIONS: `suppressions=${SUPPRESSIONS}` }, mistake: 'race', report: 'data race' }
}

const args = process.argv.slice(2)
const short = args.includes('--short')
const chosen = args.filter((arg) => arg !== '--short')
if (process.platform !== 'linux' || chosen.some((name) => !(name in SANITIZERS))) {
  console.error('Usage: node scripts/storm.mjs [--short] [address | thread], on Linux')
  process.exit(2)
}

const SEEDS = short ? [1] : [1, 2, 3, 4]
const WORKERS = short ? 20 : 100
/** What each prints when all is well. */
const STORMS = [
  { script: 'driver/terminated-in-call.mjs', args: [[]], survived: /^survived$/ },
  { script: 'blocking-storm.mjs', args: SEEDS.map((seed) => [WORKERS, seed]), survived: /^survived$/ },
  // Sockets and timers, one hundred workers.
  ...(short ? [] : [{ script: 'storm.mjs', args: SEEDS.map((seed) => [seed]), survived: /"wrong":0,"echoed":true/ }])
]

await setup()
const failed = (chosen.length > 0 ? chosen : Object.keys(SANITIZERS)).filter((name) => !survives(name))
process.exitCode = failed.length === 0 ? 0 : 1

function survives(name) {
  const { library, env, mistake, report } = SANITIZERS[name]
  const out = join(buildNative(name), 'Release')
  const preload = spawnSync('g++', [`-print-file-name=${library}`], { encoding: 'utf8' }).stdout.trim()
  const play = (...command) => {
    const [program, all] = withoutAslr(name, process.execPath, command)
    const { status, signal, stdout, stderr } = spawnSync(program, all, {
      cwd: root,
      encoding: 'utf8',
      env: { ...process.env, ...env, LD_PRELOAD: preload, COREACTOR_NATIVE: join(out, 'coreactor.node') }
    })
    return { ended: signal ?? status, said: stdout.trim(), complaints: stderr }
  }

  const probe = play('-e', `require(${JSON.stringify(join(out, 'sanitizer_probe.node'))}).${mistake}()`)
  if (probe.ended === 0 || !probe.complaints.includes(report)) {
    console.error(`${name}: a ${report}, made on purpose, was not reported\n${probe.complaints}`)
    return false
  }
  console.log(`${name}: a ${report}, made on purpose, is reported`)
  return STORMS.every(({ script, args, survived }) =>
    args.every((each) => {
      const start = performance.now()
      const { ended, said, complaints } = play(join('test/fixtures', script), ...each.map(String))
      const well = ended === 0 && complaints === '' && survived.test(said)
      console.log(`${name}: ${[script, ...each].join(' ')}: ${well ? 'survived' : `FAILED (${ended})`}, ${((performance.now() - start) / 1000).toFixed(1)} s`)
      if (!well) console.error(said, complaints)
      return well
    })
  )
}
