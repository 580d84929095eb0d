/* stream_tls: the TLS inside a stream. What OpenSSL wants to send goes to the stream's `out` like
 * anything else, so that OpenSSL never waits for the socket; what it wants to read it asks of the
 * socket at most until that is empty. Owned by its stream; same thread. Called by stream.c only. */
#ifndef SLUICE_NET_STREAM_TLS_H
#define SLUICE_NET_STREAM_TLS_H

#include "sluice/net/stream.h"

/* stream_read(), stream_queue(), stream_write() of a stream with TLS. */
ssize_t stream_tls_read(struct stream *stream, uint8_t *bytes, size_t size);
void stream_tls_queue(struct stream *stream, const void *bytes, size_t length);
void stream_tls_unqueue(struct stream *stream);
void stream_tls_write(struct stream *stream, const void *bytes, size_t length);

/* Says goodbye if that can be sent now, and frees. */
void stream_tls_close(struct stream *stream);

/* stream.c: sends what is in `out`, at once or at the end of the turn; ends the stream with an
 * error; moves what has been read ahead behind what is in `buffer`. */
void stream_send(struct stream *stream, const void *bytes, size_t length);
void stream_break(struct stream *stream, int error);
void stream_take_ahead(struct stream *stream, struct buffer *buffer);

#endif
