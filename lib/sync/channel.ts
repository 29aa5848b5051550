/** Handing values from task to task. */
import { Cancelled, CoreactorError } from '../task/errors.js'
import type { Op } from '../task/types.js'
import { checkInteger, invalidType } from '../task/validate.js'
import { Line, type Standing } from './line.js'
import { Ring } from './ring.js'
import { Waiting } from './waiting.js'

/** The channel has been closed: nothing can be sent any more, or everything that was sent has been received. */
export class ChannelClosedError extends CoreactorError {
  constructor(options?: ErrorOptions) {
    super('ERR_COREACTOR_CHANNEL_CLOSED', 'the channel is closed', options)
  }
}

/** What goes on in a channel. */
export interface ChannelStatistics {
  /** Values that were accepted, and given out, ever. */
  readonly sent: number
  readonly received: number
  /** Values that are in it, and the most there have been. */
  readonly buffered: number
  readonly peak: number
  readonly waitingSenders: number
  readonly waitingReceivers: number
}

class Send<T> extends Waiting<void> {
  readonly item: T
  private readonly channel: Channel<T>

  constructor(channel: Channel<T>, line: Line<Standing>, item: T) {
    super(line)
    this.channel = channel
    this.item = item
  }

  protected override take(): boolean {
    return this.channel.trySend(this.item) && this.complete(undefined)
  }

  /** The item is in somebody else's hands. */
  protected override giveBack(): boolean {
    return false
  }
}

class Receive<T> extends Waiting<IteratorResult<T, undefined>> {
  protected readonly channel: Channel<T>
  /** Of what it was handed: how many were sent before. */
  private ordinal = 0

  constructor(channel: Channel<T>, line: Line<Standing>) {
    super(line)
    this.channel = channel
  }

  hand(value: T, ordinal: number): void {
    this.ordinal = ordinal
    this.grant({ done: false, value })
  }

  protected override take(): boolean {
    const taken = this.channel.take()
    return taken !== null && this.complete(taken)
  }

  protected override giveBack(result: IteratorResult<T, undefined>): boolean {
    if (result.done !== true) this.channel.putBack(result.value, this.ordinal)
    return true
  }
}

/** `receive()`: the item itself, and an error at the end. */
class ReceiveItem<T> extends Receive<T> {
  protected override complete(result: IteratorResult<T, undefined>): true {
    if (result.done === true) throw new ChannelClosedError()
    return super.complete(result.value as never)
  }
}

/**
 * A queue between tasks, with room for `capacity` values: 0 hands each value over in person (the sender waits for its
 * receiver), Infinity never makes a sender wait. Any number of senders and receivers, each served in the order in which
 * they came. No value is ever lost or given out twice, whoever is cancelled.
 *
 * Errors: `ERR_INVALID_ARG_TYPE`, `ERR_OUT_OF_RANGE` for the capacity.
 *
 * @example
 * const lines = new Channel<string>(100)
 * spawn(function* () {
 *   for (let line; (line = yield* nextLine()) !== null; ) yield* lines.send(line)
 *   lines.close()
 * })
 * for (let item; !(item = yield* lines.next()).done; ) handle(item.value)
 */
export class Channel<T> implements AsyncIterable<T> {
  readonly capacity: number
  /** What has been sent and not received. One more than `capacity` for a moment, if a receiver gave back what it had. */
  private readonly buffer = new Ring<T>()
  /** Of each that was given back, at the head of the buffer: how many were sent before. Invariant: ascends. */
  private readonly returned: number[] = []
  /** Invariant: somebody is in it only while the buffer is full. */
  private readonly senders = new Line<Send<T>>()
  /** Invariant: somebody is in it only while the buffer is empty, nobody waits to send, and the channel is open. */
  private readonly receivers = new Line<Receive<T>>()
  private ended = false
  private error: unknown = undefined
  /** Producers that are open; -1 if there never was one. */
  private producers = -1
  private sent = 0
  private received = 0
  private peak = 0

  constructor(capacity = 0) {
    if (typeof capacity !== 'number') throw invalidType('capacity', 'of type number', capacity)
    if (capacity !== Infinity) checkInteger('capacity', capacity, 0, Number.MAX_SAFE_INTEGER)
    this.capacity = capacity
  }

  /** Whether `close` was called. There may still be something to receive. */
  get closed(): boolean {
    return this.ended
  }

  /** Values that are in it. */
  get size(): number {
    return this.buffer.size
  }

  /** Sends a value, waiting for room. On cancel it was not sent. Errors: `ChannelClosedError`, the error of `close`. */
  send(item: T): Op<void> {
    return new Send(this, this.senders, item)
  }

  /** Sends a value if there is room now, or somebody waits for it. Errors as for `send`. Callable from anywhere. */
  trySend(item: T): boolean {
    if (this.ended) throw this.error ?? new ChannelClosedError()
    const receiver = this.receivers.shift()
    if (receiver !== undefined) {
      receiver.hand(item, this.sent++)
      this.received++
      return true
    }
    if (this.buffer.size >= this.capacity) return false
    this.accept(item)
    return true
  }

  /** Waits for a value. On cancel none was taken. Errors: `ChannelClosedError` at the end, the error of `close`. */
  receive(): Op<T> {
    return new ReceiveItem(this, this.receivers) as unknown as Op<T>
  }

  /** The same for a loop: the value in an IteratorResult, which is `done` when the channel was closed and is empty. */
  next(): Op<IteratorResult<T, undefined>> {
    return new Receive(this, this.receivers)
  }

  /** A value if there is one now; undefined otherwise. Errors as for `receive`. */
  tryReceive(): T | undefined {
    const taken = this.take()
    if (taken === null) return undefined
    if (taken.done === true) throw new ChannelClosedError()
    return taken.value
  }

  /**
   * Ends it: who waits to send, and who tries to, gets `ChannelClosedError`; what was sent can still be received, and
   * then receivers are told. With an `error` (null is none) that is what they get instead; a `Cancelled`, which belongs to
   * a scope, becomes the cause of a `ChannelClosedError`. Idempotent. Callable from anywhere.
   */
  close(error?: unknown): void {
    if (this.ended) return
    this.ended = true
    this.error = error instanceof Cancelled ? new ChannelClosedError({ cause: error }) : (error ?? undefined)
    for (let each; (each = this.senders.shift() ?? this.receivers.shift()) !== undefined; ) each.wake()
  }

  /**
   * A sender of several: the channel is closed when the last of them is. Declared with `using` it is closed at the end of
   * the block. Errors: those of `send`, once the channel is closed.
   */
  producer(): Producer<T> {
    if (this.ended) throw this.error ?? new ChannelClosedError()
    this.producers = Math.max(this.producers, 0) + 1
    return new Producer(this, () => {
      if (--this.producers === 0) this.close()
    })
  }

  statistics(): ChannelStatistics {
    const { sent, received, peak, size: buffered } = this
    return { sent, received, buffered, peak, waitingSenders: this.senders.size, waitingReceivers: this.receivers.size }
  }

  /** The values that are received, until the channel is closed and empty. Leaving the loop leaves the channel open. */
  async *[Symbol.asyncIterator](): AsyncGenerator<T, void, undefined> {
    for (;;) {
      const { done, value } = await this.next()
      if (done === true) return
      yield value
    }
  }

  /** @internal The next value, the end, or null if neither is there yet. */
  take(): IteratorResult<T, undefined> | null {
    if (this.buffer.size > 0) {
      const value = this.buffer.shift()
      if (this.returned.length > 0) this.returned.shift()
      const sender = this.buffer.size < this.capacity ? this.senders.shift() : undefined
      if (sender !== undefined) {
        this.accept(sender.item)
        sender.grant(undefined)
      }
      this.received++
      return { done: false, value }
    }
    const sender = this.senders.shift()
    if (sender !== undefined) {
      this.sent++
      this.received++
      sender.grant(undefined)
      return { done: false, value: sender.item }
    }
    if (!this.ended) return null
    if (this.error !== undefined) throw this.error
    return { done: true, value: undefined }
  }

  /** @internal From a receiver that was handed it and will not take it: it is again where it was in the order. */
  putBack(item: T, ordinal: number): void {
    const receiver = this.receivers.shift()
    if (receiver !== undefined) {
      receiver.hand(item, ordinal)
      return
    }
    this.received--
    const { returned } = this
    let position = returned.length
    while (position > 0 && (returned[position - 1] as number) > ordinal) position--
    returned.splice(position, 0, ordinal)
    this.buffer.insert(position, item)
    this.peak = Math.max(this.peak, this.buffer.size)
  }

  private accept(item: T): void {
    this.sent++
    this.buffer.push(item)
    this.peak = Math.max(this.peak, this.buffer.size)
  }
}

/** One of several senders of a channel. Made by `Channel.producer`. */
export class Producer<T> implements Disposable {
  private readonly channel: Channel<T>
  private readonly whenClosed: () => void
  private open = true

  /** @internal */
  constructor(channel: Channel<T>, whenClosed: () => void) {
    this.channel = channel
    this.whenClosed = whenClosed
  }

  /** As `Channel.send`; `ChannelClosedError` also once this producer is closed. */
  send(item: T): Op<void> {
    this.check()
    return this.channel.send(item)
  }

  /** As `Channel.trySend`; `ChannelClosedError` also once this producer is closed. */
  trySend(item: T): boolean {
    this.check()
    return this.channel.trySend(item)
  }

  /** Another one of the same channel, to be closed on its own. */
  clone(): Producer<T> {
    this.check()
    return this.channel.producer()
  }

  /** It sends no more. Idempotent. */
  close(): void {
    if (!this.open) return
    this.open = false
    this.whenClosed()
  }

  [Symbol.dispose](): void {
    this.close()
  }

  private check(): void {
    if (!this.open) throw new ChannelClosedError()
  }
}
