// Where the numbers of tcp_connection_info are on macOS.
#include <netinet/tcp.h>
#include <sys/types.h>

#include <cstddef>

#include "socket_options.h"

namespace coreactor {

#define FIELD(name)                                                                              \
  {                                                                                              \
#name, offsetof(tcp_connection_info, tcpi_##name), sizeof(tcp_connection_info::tcpi_##name), \
        0, 0                                                                                     \
  }

// Under the names that the system has for them: times are in milliseconds, windows in bytes.
const TcpInfoField kTcpInfoFields[] = {
    FIELD(state),
    FIELD(snd_wscale),
    FIELD(rcv_wscale),
    FIELD(options),
    FIELD(flags),
    FIELD(rto),
    FIELD(maxseg),
    FIELD(snd_ssthresh),
    FIELD(snd_cwnd),
    FIELD(snd_wnd),
    FIELD(snd_sbbytes),
    FIELD(rcv_wnd),
    FIELD(rttcur),
    FIELD(srtt),
    FIELD(rttvar),
    FIELD(txpackets),
    FIELD(txbytes),
    FIELD(txretransmitbytes),
    FIELD(rxpackets),
    FIELD(rxbytes),
    FIELD(rxoutoforderbytes),
    FIELD(txretransmitpackets),
};
#undef FIELD

const size_t kTcpInfoFieldCount = sizeof(kTcpInfoFields) / sizeof(kTcpInfoFields[0]);

}  // namespace coreactor
