{
  'targets': [
    {
      'target_name': 'native_job',
      'sources': ['native_job.c'],
      'defines': ['NAPI_VERSION=8'],
      'include_dirs': [
        '<!(node -p "path.join(path.dirname(require.resolve(\'coreactor/package.json\')), \'native/include\')")',
      ],
      'cflags': ['-Wall', '-Wextra', '-Wpedantic', '-Werror'],
      'cflags_c': ['-std=gnu11'],
      # The thread of ticker() may run on when the worker has ended that has loaded this.
      'conditions': [['OS!="mac"', {'ldflags': ['-Wl,-z,nodelete']}]],
    },
  ],
}
