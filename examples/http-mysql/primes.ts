/** The slow computation of the example. Runs in a worker, and blocks nobody there. */

/** How many primes there are below `limit`. */
export function countPrimes(limit: number): number {
  let count = 0
  for (let n = 2; n < limit; n++) if (isPrime(n)) count++
  return count
}

function isPrime(n: number): boolean {
  for (let divisor = 2; divisor * divisor <= n; divisor++) if (n % divisor === 0) return false
  return true
}
