// Where the numbers of TCP_INFO are on Linux. A file of its own: <linux/tcp.h>, which has all of
// them, cannot stand beside <netinet/tcp.h>.
#include <linux/tcp.h>

#include <cstddef>

#include "socket_options.h"

namespace coreactor {
namespace {

// The byte that the window scales share comes after the options, and the next has the flags: of a
// bit-field there is no offset.
constexpr size_t kScales = offsetof(tcp_info, tcpi_options) + 1;
constexpr size_t kFlags = kScales + 1;

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
constexpr int kFirstNibble = 0;
constexpr int kSecondNibble = 4;
constexpr int kFirstBit = 0;
#else
constexpr int kFirstNibble = 4;
constexpr int kSecondNibble = 0;
constexpr int kFirstBit = 7;
#endif

}  // namespace

#define FIELD(name)                                                             \
  {                                                                             \
#name, offsetof(tcp_info, tcpi_##name), sizeof(tcp_info::tcpi_##name), 0, 0 \
  }

// In the order of the kernel, which has only ever added to the end.
const TcpInfoField kTcpInfoFields[] = {
    FIELD(state),
    FIELD(ca_state),
    FIELD(retransmits),
    FIELD(probes),
    FIELD(backoff),
    FIELD(options),
    {"snd_wscale", kScales, 1, kFirstNibble, 4},
    {"rcv_wscale", kScales, 1, kSecondNibble, 4},
    {"delivery_rate_app_limited", kFlags, 1, kFirstBit, 1},
    FIELD(rto),
    FIELD(ato),
    FIELD(snd_mss),
    FIELD(rcv_mss),
    FIELD(unacked),
    FIELD(sacked),
    FIELD(lost),
    FIELD(retrans),
    FIELD(fackets),
    FIELD(last_data_sent),
    FIELD(last_ack_sent),
    FIELD(last_data_recv),
    FIELD(last_ack_recv),
    FIELD(pmtu),
    FIELD(rcv_ssthresh),
    FIELD(rtt),
    FIELD(rttvar),
    FIELD(snd_ssthresh),
    FIELD(snd_cwnd),
    FIELD(advmss),
    FIELD(reordering),
    FIELD(rcv_rtt),
    FIELD(rcv_space),
    FIELD(total_retrans),
    FIELD(pacing_rate),
    FIELD(max_pacing_rate),
    FIELD(bytes_acked),
    FIELD(bytes_received),
    FIELD(segs_out),
    FIELD(segs_in),
    FIELD(notsent_bytes),
    FIELD(min_rtt),
    FIELD(data_segs_in),
    FIELD(data_segs_out),
    FIELD(delivery_rate),
    FIELD(busy_time),
    FIELD(rwnd_limited),
    FIELD(sndbuf_limited),
    FIELD(delivered),
    FIELD(delivered_ce),
    FIELD(bytes_sent),
    FIELD(bytes_retrans),
    FIELD(dsack_dups),
    FIELD(reord_seen),
    FIELD(rcv_ooopack),
    FIELD(snd_wnd),
};
#undef FIELD

const size_t kTcpInfoFieldCount = sizeof(kTcpInfoFields) / sizeof(kTcpInfoFields[0]);

}  // namespace coreactor
