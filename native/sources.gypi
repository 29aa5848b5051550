# The one list of sources, for binding.gyp (node-gyp) and CMakeLists.txt (cmake-js). Paths are relative to native/.
# One source to a line: CMakeLists.txt reads them with a regular expression.
{
  'variables': {
    'core_sources': [
      'core/address.cc',
      'core/blocking_pool.cc',
      'core/jobs/file.cc',
      'core/jobs/lookup.cc',
      'core/jobs/reverse.cc',
      'core/outbox.cc',
      'core/fd_ledger.cc',
      'core/socket.cc',
      'core/fd_kind.cc',
      'core/socket_file.cc',
      'core/socket_options.cc',
      'core/unix_message.cc',
    ],
    'core_linux_sources': [
      'core/clock_linux.cc',
      'core/descriptor_linux.cc',
      'core/poller_epoll.cc',
      'core/socket_linux.cc',
      'core/thread_name_linux.cc',
      'core/socket_file_linux.cc',
      'core/socket_options_linux.cc',
      'core/tcp_info_linux.cc',
      'core/unix_message_linux.cc',
      'core/transfer_linux.cc',
    ],
    'node_sources': [
      'node/addon.cc',
      'node/descriptor_bindings.cc',
      'node/driver.cc',
      'node/driver_binding.cc',
      'node/job_bindings.cc',
      'node/socket_bindings.cc',
      'node/option_bindings.cc',
      'node/unix_bindings.cc',
      'node/transfer_bindings.cc',
    ],
  },
}
