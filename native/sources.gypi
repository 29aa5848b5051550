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
    ],
    'core_linux_sources': [
      'core/clock_linux.cc',
      'core/descriptor_linux.cc',
      'core/poller_epoll.cc',
      'core/socket_linux.cc',
      'core/thread_name_linux.cc',
    ],
    'node_sources': [
      'node/addon.cc',
      'node/descriptor_bindings.cc',
      'node/driver.cc',
      'node/driver_binding.cc',
      'node/job_bindings.cc',
      'node/socket_bindings.cc',
    ],
  },
}
