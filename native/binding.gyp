# The addon, as users and developers build it: `node-gyp rebuild` in the root of a clone, `npx coreactor build` in a package.
# The root's binding.gyp, which points here, is not in the package: package managers would build what is built already.
{
  'includes': ['sources.gypi'],
  'targets': [
    {
      'target_name': 'coreactor',
      'sources': ['<@(core_sources)', '<@(node_sources)'],
      'conditions': [
        ['OS=="linux"', {'sources': ['<@(core_epoll_sources)', '<@(core_linux_sources)']}],
        ['OS=="mac"', {
          'sources': [
            '<@(core_kqueue_sources)', '<@(core_bsd_sources)', '<@(core_macos_sources)', '<@(node_macos_sources)',
          ],
          # The names that POSIX has for them.
          'defines': ['st_atim=st_atimespec', 'st_mtim=st_mtimespec', 'st_ctim=st_ctimespec'],
          'xcode_settings': {
            'MACOSX_DEPLOYMENT_TARGET': '11.0',
            'CLANG_CXX_LANGUAGE_STANDARD': 'c++17',
            'GCC_ENABLE_CPP_EXCEPTIONS': 'NO',
            'GCC_ENABLE_CPP_RTTI': 'NO',
            'GCC_OPTIMIZATION_LEVEL': '2',
            'GCC_SYMBOLS_PRIVATE_EXTERN': 'YES',
            'OTHER_CFLAGS': [
              '-isystem', '<!(node headers.cjs)', '-Wall', '-Wextra', '-Wpedantic', '-Wshadow', '-Wconversion',
            ],
          },
        }],
        ['OS=="freebsd"', {'sources': ['<@(core_kqueue_sources)', '<@(core_bsd_sources)', '<@(core_freebsd_sources)']}],
      ],
      # SWALLOW: in a worker that is being terminated nothing can be thrown, which is no reason to abort the process.
      'defines': [
        'NAPI_VERSION=8', 'NODE_ADDON_API_DISABLE_CPP_EXCEPTIONS', 'NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS',
        '_FORTIFY_SOURCE=2',
      ],
      'cflags!': ['-fno-omit-frame-pointer'],
      # Third-party headers as system headers: their warnings are not ours to mend. Warnings are errors in CMakeLists.txt,
      # not here: a user's compiler may have some that ours has not.
      'cflags': [
        '-isystem', '<!(node headers.cjs)',
        '-O2', '-fvisibility=hidden',
        '-Wall', '-Wextra', '-Wpedantic', '-Wshadow', '-Wconversion',
      ],
      'cflags_cc!': ['-std=gnu++17', '-std=gnu++20'],
      'cflags_cc': ['-std=c++17', '-fno-exceptions', '-fno-rtti'],
      # nodelete: an addon that was loaded only by a worker is unmapped under its running threads otherwise.
      'ldflags': ['-Wl,-z,nodelete', '-Wl,-z,relro,-z,now'],
    },
  ],
}
