/**
 * The public entry point `coreactor`: re-exports only.
 *
 * @module
 */
export { run, type RunOptions } from './runtime/run.js'
export type { BlockedStep, WatchdogOptions } from './runtime/step-watchdog.js'
export { allTasks } from './task/all-tasks.js'
export { checkpoint } from './task/checkpoint.js'
export { all, allSettled, any, race, type Result, type Results, type Settled, type SettledResults } from './task/combine.js'
export { scope, type ScopeOptions } from './task/enter-scope.js'
export type { Scope } from './task/scope.js'
export { currentTask, spawn, spawnBackground, start } from './task/spawn.js'
export type { StartBody } from './task/start.js'
export type { Task } from './task/task.js'
export { TaskLocal } from './task/task-local.js'
export type { Body, Coroutine, Op, Parked } from './task/types.js'
export { until } from './task/until.js'
export { op } from './task/op.js'
export { Cancelled, CoreactorError, ScopeError, TaskCancelledError, type Failure } from './task/errors.js'
export { interval, type Interval, type IntervalOptions, type MissedTicks } from './time/interval.js'
export { shield, type ShieldOptions } from './time/shield.js'
export { now, sleep, sleepUntil } from './time/sleep.js'
export { moveOnAfter, timeout, TimeoutError, type DeadlineScope } from './time/timeout.js'
export { Barrier } from './sync/barrier.js'
export { Channel, ChannelClosedError, type ChannelStatistics, type Producer } from './sync/channel.js'
export { Condition } from './sync/condition.js'
export { deferred, type Deferred } from './sync/deferred.js'
export { Event } from './sync/event.js'
export { Limiter } from './sync/limiter.js'
export { map, type Items, type Mapped } from './sync/map.js'
export { Mutex } from './sync/mutex.js'
export { Semaphore, type Permit } from './sync/semaphore.js'
export { AddonError, type AddonAttempt } from './kernel/addon.js'
export { SystemError } from './kernel/errno.js'
export type { AnyAddress, PeerCredentials, SocketAddress, UnixAddress } from './kernel/kernel.js'
export { BusyError, ClosedError, FdInUseError, LimitError, NotPollableError, UnexpectedEndError } from './io/errors.js'
export { fd, type Descriptor, type FdOptions } from './io/descriptor.js'
export { pipe, type Pipe, type PipeReader, type PipeWriter } from './io/pipe.js'
export { socketPair, type SocketPairOptions } from './net/socket-pair.js'
export type { LimitOptions, LineEncoding, ReadLineOptions } from './io/read.js'
export type { FileLike } from './io/send-file.js'
export type { PipeTarget, PipeToOptions, StreamCloseOptions } from './io/stream.js'
export type { CutOff, WriteData } from './io/write.js'
export { blocking } from './blocking/blocking.js'
export { DirectoryEntry, type MkdirOptions, type ReaddirOptions } from './blocking/directory.js'
export { File, type OpenOptions } from './blocking/file.js'
export type { PositionOptions, WriteOptions } from './blocking/file-calls.js'
export type { BlockingCallReport, BlockingLimits, BlockingStatistics, LaneStatistics } from './blocking/limits.js'
export { FileLock, type LockOptions } from './blocking/lock.js'
export type { CopyFileOptions } from './blocking/copy-file.js'
export type { OpenFlags, PathLike } from './blocking/path.js'
export type { FileStatus } from './blocking/status.js'
export type { ProcessEnd, WaitOptions } from './blocking/wait-process.js'
export type { ReadFileOptions, WriteFileOptions } from './blocking/whole-file.js'
export { DetachedBufferError } from './jobs/errors.js'
export { type LookupAddress, type LookupOptions, type ServiceName } from './blocking/lookup.js'
export { LookupError } from './blocking/lookup-error.js'
export type { BlockingOptions } from './jobs/blocking-call.js'
export { nativeApi, type NativeJob } from './blocking/native-job.js'
export { HostNotNumericError, type AddressOptions } from './net/address.js'
export { connect, type ConnectBounds, type ConnectOptions } from './net/connect.js'
export { detach, type DetachOptions } from './node/detach.js'
export { fromNode, type DuplexStream } from './node/from-node.js'
export { toNode, type ToNodeOptions } from './node/to-node.js'
export { toWeb, type WebStreams } from './node/to-web.js'
export { Connection, type KeepAliveOptions } from './net/connection.js'
export { ConnectError } from './net/happy-eyeballs.js'
export { listen, Listener, type ListenFdOptions, type ListenOptions } from './net/listener.js'
export { listenFds, type ListenFd, type ListenFdsOptions } from './net/listen-fds.js'
export { ConnectionEvictedError, type ConnectionTimeouts, type EvictionLimit, type MinimumRate } from './net/eviction.js'
export {
  serve,
  type CloseOptions,
  type Handler,
  type ServeFdOptions,
  type ServeManyOptions,
  type ServeOptions,
  type Server,
  type ServerOptions,
  type ServerStatistics,
  type UnixServeOptions
} from './net/serve.js'
export { formatAddress, parseAddress } from './net/address-text.js'
export { ReceivedFd, type ReceivedObject } from './net/received.js'
export { MessageTruncatedError, SeqpacketConnection } from './net/seqpacket.js'
export type {
  SettableOptionName,
  SocketOptionInput,
  SocketOptionName,
  SocketOptionNumber,
  SocketOptionValue
} from './net/socket-options.js'
export type { TcpInfo, TcpState } from './net/tcp-info.js'
export type { UnixConnectOptions } from './net/unix-connect.js'
export { UnixConnection } from './net/unix-connection.js'
export { unixDatagram, UnixDatagramSocket, type UnixDatagramOptions, type UnixSendOptions } from './net/unix-datagram.js'
export { UnixListener, type UnixConnectionType, type UnixListenOptions } from './net/unix-listener.js'
export { FdsLostError, UnixMessage, type ReceiveOptions, type Sendable } from './net/unix-message.js'
export type { UnixNameOptions } from './net/unix-name.js'
export { proxyHeader, type ProxyHeader, type ProxyHeaderOptions, type ProxyTlv } from './net/proxy-header.js'
export { ProxyProtocolError, type ProxyProtocolProblem } from './net/proxy-error.js'
export { readProxyHeader, type ProxyInfo, type ProxyProtocolOptions } from './net/proxy-protocol.js'
export { notify, type NotifyFields } from './net/notify.js'
export { watchdog, watchdogInterval } from './net/watchdog.js'
export { untilSignal } from './runtime/until-signal.js'
export { udp, type UdpOptions } from './net/udp.js'
export type { DatagramError, DatagramErrorOrigin } from './net/datagram-error.js'
export { type DatagramSocket, type GroupOptions, type MulticastOptions } from './net/datagram-socket.js'
export type { DatagramAddress, DatagramSendOptions } from './net/datagram-peer.js'
export { DatagramSlab, type DatagramSlabOptions } from './net/datagram-slab.js'
export type { Datagram } from './net/receive-datagram.js'
export { datagramSocket, type RawDatagramOptions, type RawDatagramSocket } from './net/raw-datagram-socket.js'
