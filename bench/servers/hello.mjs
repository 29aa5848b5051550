/** What the HTTP servers of the bench answer. */
export function hello(_request, response) {
  response.writeHead(200, { 'Content-Length': 5 })
  response.end('hello')
}
