/*
 * The address to which a datagram was sent, so that the answer leaves from
 * there: IP_PKTINFO, or IP_RECVDSTADDR and IP_SENDSRCADDR; and IPV6_PKTINFO.
 */

#ifndef COMMON_COMPAT_PKTINFO_H
#define COMMON_COMPAT_PKTINFO_H

#include <sys/socket.h>

#include <stdbool.h>

/* Octets of control data that are enough for either family. */
#define COMPAT_PKTINFO_ROOM	128

/*
 * Asks for it on a bound UDP socket of AF_INET or AF_INET6; master does, since
 * nobody else may set options.  0, or -1 with errno.
 */
int	compat_pktinfo_ask(int fd, int family);
/*
 * From the control data of a received datagram makes those of its answer, in
 * place: msg_controllen is 0 if there were none.  False if it was sent to an
 * address that nobody answers from (multicast, broadcast).
 */
bool	compat_pktinfo_turn(struct msghdr *);

#endif
