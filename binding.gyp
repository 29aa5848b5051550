# Points at native/, which holds everything that is built: see packaging in docs/design.md.
{
  'targets': [
    {
      'target_name': 'all',
      'type': 'none',
      'dependencies': ['native/binding.gyp:coreactor'],
    },
  ],
}
