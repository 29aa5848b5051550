// Prints where napi.h is: in vendor/, as the package ships it (scripts/vendor.mjs), or in node_modules of a clone.
const { existsSync } = require('node:fs')
const { dirname, join } = require('node:path')

const vendored = join(__dirname, 'vendor')
console.log(existsSync(vendored) ? vendored : dirname(require.resolve('node-addon-api/package.json')))
