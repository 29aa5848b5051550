/** A certificate of localhost that signs itself, and its key, made for one run. */
import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

export interface Certificate {
  /** PEM. */
  readonly cert: string
  readonly key: string
}

export async function makeCertificate(): Promise<Certificate> {
  const directory = mkdtempSync(join(tmpdir(), 'coreactor-certificate-'))
  const [certPath, keyPath] = [join(directory, 'cert.pem'), join(directory, 'key.pem')]
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1']
  const kind = ['-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2']
  try {
    await promisify(execFile)('openssl', ['req', ...kind, ...subject, '-keyout', keyPath, '-out', certPath])
    return { cert: readFileSync(certPath, 'utf8'), key: readFileSync(keyPath, 'utf8') }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') throw new Error('openssl is not installed: apt-get install openssl')
    throw error
  } finally {
    rmSync(directory, { recursive: true })
  }
}
