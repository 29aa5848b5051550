// Where the numbers of tcp_info are on FreeBSD.
#include <netinet/tcp.h>
#include <sys/types.h>

#include <cstddef>

#include "socket_options.h"

namespace coreactor {

#define FIELD(name)                                                             \
  {                                                                             \
#name, offsetof(tcp_info, tcpi_##name), sizeof(tcp_info::tcpi_##name), 0, 0 \
  }

// Those that it fills in, on machines whose bit-fields begin with the lowest bit.
const TcpInfoField kTcpInfoFields[] = {
    FIELD(state),
    FIELD(options),
    // One byte after the options, which both share.
    {"snd_wscale", offsetof(tcp_info, tcpi_options) + 1, 1, 0, 4},
    {"rcv_wscale", offsetof(tcp_info, tcpi_options) + 1, 1, 4, 4},
    FIELD(rto),
    FIELD(snd_mss),
    FIELD(rcv_mss),
    FIELD(last_data_recv),
    FIELD(rtt),
    FIELD(rttvar),
    FIELD(snd_ssthresh),
    FIELD(snd_cwnd),
    FIELD(rcv_space),
    FIELD(snd_wnd),
    FIELD(snd_nxt),
    FIELD(rcv_nxt),
    FIELD(snd_rexmitpack),
    FIELD(rcv_ooopack),
    FIELD(snd_zerowin),
};
#undef FIELD

const size_t kTcpInfoFieldCount = sizeof(kTcpInfoFields) / sizeof(kTcpInfoFields[0]);

}  // namespace coreactor
