#include "redis_lease.h"
#include "redis_local.h"
enum redis_verdict redis_tour_request(struct redis_client *client, struct redis_input *input)
{
    redis_client_answer_error(client, RESP_ERROR_SYNTAX, NULL, NULL);
    return REDIS_VERDICT_DONE;
}
