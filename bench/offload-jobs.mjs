/** What bench/offload.mjs has run elsewhere. The other pools have a `move` of their own, which BENCH_MOVE names. */
import { job } from '../dist/offload.js'

const [url, name] = process.env.BENCH_MOVE?.split(' ') ?? []
const peer = url === undefined ? {} : await import(url)
const move = (peer[name] ?? peer.default?.[name])?.move ?? ((bytes) => job.transfer(bytes, [bytes.buffer]))

export const nothing = () => {}
export const moves = (bytes) => move(bytes)
export const copies = (bytes) => bytes
