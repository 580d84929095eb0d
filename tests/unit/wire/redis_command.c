/* What becomes of each command, with its arguments. */
#include "sluice/wire/redis_command.h"

#include <check.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "wire/redis_command_table.h"

/* A line of words as a request; returns what is decided on it. */
static struct redis_call call_of(const char *line)
{
    static uint8_t encoded[RESP_INLINE_ENCODED_MAX];
    char ended[400];
    struct resp_request_parser parser;
    struct resp_request request;
    size_t size;

    snprintf(ended, sizeof(ended), "%s\n", line);
    size = resp_inline_encode((const uint8_t *)ended, strlen(ended), encoded, sizeof(encoded));
    resp_request_parser_init(&parser, false);
    ck_assert_int_eq(resp_request_next(&parser, encoded, size, &request), RESP_REQUEST_WHOLE);
    return redis_command_classify(encoded, &request);
}

static const struct {
    enum redis_class class;
    const char *lines; /* separated by newlines */
} classes[] = {
    {REDIS_CLASS_SHARED,
     "GET k\nget k\nGeT k\nSET k v\nset k v ex 5 get\nMGET a b c\nDEL a\nINCR n\nLPUSH l a\n"
     "HGETALL h\nSADD s a\nZADD z 1 a\nPFCOUNT p\nGEOADD g 1 2 m\nSETBIT b 1 1\nXADD s * a b\n"
     "XREAD STREAMS s 0\nxread count 5 streams s 0\nXREADGROUP GROUP g c STREAMS s >\n"
     "XREADGROUP GROUP g c COUNT 1 NOACK STREAMS block >\nXREAD COUNT BLOCK STREAMS s 0\nXREAD a b "
     "c\n"
     "SORT l\nOBJECT ENCODING k\nSCAN 0\nPUBLISH c m\nSPUBLISH c m\nPUBSUB CHANNELS\nDBSIZE\n"
     "KEYS *\nRANDOMKEY\nFLUSHALL\nFLUSHDB\nSWAPDB 0 1\nTIME\nLOLWUT\nCOMMAND\nCOMMAND COUNT\n"
     "COMMAND DOCS\nINFO\nMEMORY USAGE k\nLATENCY LATEST\nSLOWLOG GET\nCLUSTER SLOTS\nROLE\n"
     "LASTSAVE\nSCRIPT LOAD x\nSCRIPT EXISTS x\nSCRIPT FLUSH\nFUNCTION LOAD x\nFUNCTION LIST\n"
     "ACL WHOAMI\nACL LIST\nCONFIG GET *\nCONFIG SET a b\nUNWATCH\nPING\nPING x\nECHO x\n"
     "CLIENT HELP\nREPLICAOF NO ONE\nACL SETUSER u\nXINFO STREAM s\nEXPIRE k 1\nRESTORE k 0 x\n"
     "GET\nGET a b\nOBJECT ENCODING"},
    {REDIS_CLASS_BLOCK, "MULTI\nEXEC\nDISCARD\nASKING"},
    {REDIS_CLASS_LEASE,
     "WATCH k\nSUBSCRIBE c\nPSUBSCRIBE c\nSSUBSCRIBE c\nUNSUBSCRIBE\nPUNSUBSCRIBE p\n"
     "SUNSUBSCRIBE\nMONITOR\nCLIENT TRACKING ON\nclient tracking on bcast\nCLIENT NO-EVICT on\n"
     "CLIENT NO-TOUCH ON"},
    {REDIS_CLASS_SINGLE,
     "BLPOP l 0\nBRPOP l 0\nBLMOVE a b LEFT LEFT 0\nBRPOPLPUSH a b 0\nBLMPOP 0 1 l LEFT\n"
     "BZPOPMIN z 0\nBZPOPMAX z 0\nBZMPOP 0 1 z MIN\nXREAD BLOCK 0 STREAMS s $\n"
     "XREAD COUNT 1 block 0 STREAMS s $\nXREADGROUP GROUP g c BLOCK 0 STREAMS s >\n"
     "xreadgroup group streams block count 3 block 0 streams s >\nEVAL x 0\nEVALSHA x 0\n"
     "EVAL_RO x 0\nEVALSHA_RO x 0\nFCALL f 0\nFCALL_RO f 0\nMIGRATE h 1 k 0 5\nDEBUG SLEEP 1\n"
     "nosuch\nnosuch a b c\nCLIENT nosuch\nCLIENT\nSCRIPT\nSCRIPT nosuch\nCONFIG nosuch\nJSON.GET "
     "k\n"
     "CLIENT TRACKING OFF\nCLIENT NO-EVICT OFF\nCLIENT GETREDIR\nCLIENT TRACKINGINFO\n"
     "CLIENT CACHING YES\nMULTI x\nBLPOP l\nWATCH\nSUBSCRIBE\nSELECT\nSELECT 1 2\nWAIT 1\n"
     "SCRIPT KILL x\nCLIENT ID x\n'' a\n'get|set' k\n'client|id'\nCLIENT 'client|id'\n"
     "getgetgetgetgetgetgetgetget a\nge\ngett k"},
    {REDIS_CLASS_CONTROL,
     "SCRIPT KILL\nFUNCTION KILL\nFUNCTION STATS\nSHUTDOWN\nSHUTDOWN NOSAVE\nFAILOVER\n"
     "CLIENT PAUSE 100\nCLIENT UNPAUSE"},
    {REDIS_CLASS_LOCAL,
     "CLIENT REPLY OFF\nCLIENT SETNAME x\nCLIENT GETNAME\nCLIENT SETINFO lib-name x\nCLIENT ID\n"
     "CLIENT INFO\nCLIENT LIST\nCLIENT LIST TYPE normal\nCLIENT KILL ID 5\nCLIENT UNBLOCK 5\n"
     "SELECT 1\nAUTH p\nAUTH u p\nHELLO\nHELLO 3 AUTH u p\nRESET\nQUIT\nQUIT x y\nREADONLY\n"
     "READWRITE"},
    {REDIS_CLASS_REFUSE,
     "SYNC\nPSYNC ? -1\nREPLCONF listening-port 1\nREPLCONF\nPSYNC\nSCRIPT DEBUG YES"},
    {REDIS_CLASS_WAIT, "WAIT 1 0\nWAITAOF 1 0 0"},
};

START_TEST(each_command_has_its_class)
{
    char lines[3000], *rest = lines, *line;

    ck_assert_uint_lt(strlen(classes[_i].lines), sizeof(lines));
    strcpy(lines, classes[_i].lines);
    while ((line = strsep(&rest, "\n")) != NULL)
        ck_assert_msg(call_of(line).class == classes[_i].class, "%s is of class %d", line,
                      call_of(line).class);
}
END_TEST

/* Every line has the flag. */
static void all_have(uint32_t flag, bool want, const char *text)
{
    char lines[2000], *rest = lines, *line;

    strcpy(lines, text);
    while ((line = strsep(&rest, "\n")) != NULL)
        ck_assert_msg(!!(call_of(line).flags & flag) == want, "%s", line);
}

START_TEST(only_what_blocks_is_blocking)
{
    all_have(REDIS_BLOCKING, true,
             "BLPOP l 0\nXREAD BLOCK 0 STREAMS s $\nXREADGROUP GROUP g c BLOCK 0 STREAMS s >\n"
             "BZMPOP 0 1 z MIN");
    all_have(REDIS_BLOCKING, false,
             "XREAD STREAMS s $\nXREADGROUP GROUP g c STREAMS s >\nLPOP l\nBLPOP l\nEVAL x 0");
}
END_TEST

START_TEST(administration_is_gated)
{
    all_have(
        REDIS_GATED, true,
        "SHUTDOWN\nREPLICAOF a 1\nSLAVEOF a 1\nFAILOVER\nMODULE LOAD x\nMODULE LIST\n"
        "MODULE UNLOAD x\nDEBUG SLEEP 0\nCONFIG SET a b\nCONFIG REWRITE\nCONFIG RESETSTAT\n"
        "ACL SETUSER u\nACL DELUSER u\nACL LOAD\nACL SAVE\nCLUSTER RESET\nCLUSTER MEET a 1\n"
        "CLUSTER FAILOVER\nMONITOR\nSAVE\nBGSAVE\nBGREWRITEAOF\nCLUSTER nosuch\nMODULE nosuch x");
    all_have(REDIS_GATED, false,
             "CONFIG GET a\nACL WHOAMI\nACL LIST\nCLUSTER SLOTS\nCLUSTER NODES\nCLUSTER HELP\n"
             "CLIENT KILL ID 1\nSLOWLOG GET\nFLUSHALL\nMODULE HELP\nINFO\n"
             "CONFIG SET a\nREPLICAOF a");
}
END_TEST

START_TEST(what_changes_its_connection_is_marked)
{
    all_have(REDIS_STATE, true,
             "SELECT 1\nAUTH a\nHELLO 3\nSUBSCRIBE c\nPSUBSCRIBE c\nSSUBSCRIBE c\nUNSUBSCRIBE\n"
             "PUNSUBSCRIBE\nSUNSUBSCRIBE\nMONITOR\nREADONLY\nREADWRITE\nASKING\nCLIENT SETNAME a\n"
             "CLIENT SETINFO lib-name a\nCLIENT REPLY ON\nCLIENT TRACKING ON\nCLIENT TRACKING OFF\n"
             "CLIENT CACHING YES\nCLIENT NO-EVICT ON\nCLIENT NO-TOUCH ON\nCLIENT PAUSE 1\n"
             "SCRIPT DEBUG YES\nEVAL x 0\nEVALSHA x 0\nFCALL x 0\nEVAL_RO x 0\nDEBUG x\n"
             "MIGRATE h 1 k 0 5\nnosuch\nJSON.SET a b c\nCLIENT nosuch\nWATCH k");
    all_have(REDIS_STATE, false,
             "GET k\nSET k v\nBLPOP l 0\nPUBLISH c m\nCONFIG GET a\nCLIENT ID\nWAIT 1 0\nXREAD "
             "BLOCK 0 STREAMS s 0\nFLUSHALL\nMULTI\nEXEC\nUNWATCH");
}
END_TEST

START_TEST(what_runs_inside_multi_is_marked)
{
    all_have(REDIS_AT_ONCE, true, "EXEC\nDISCARD\nMULTI\nWATCH k\nQUIT\nRESET");
    all_have(REDIS_AT_ONCE, false, "UNWATCH\nGET k\nSELECT 1\nAUTH a\nHELLO");
    all_have(REDIS_NO_AUTH, true, "AUTH a\nHELLO 3\nQUIT\nRESET");
    all_have(REDIS_NO_AUTH, false, "PING\nGET k\nCOMMAND\nnosuch");
}
END_TEST

START_TEST(batches_are_those_that_stay_exact)
{
    ck_assert_int_eq(call_of("GET k").command->batch, REDIS_BATCH_MGET);
    ck_assert_int_eq(call_of("HGET k f").command->batch, REDIS_BATCH_HMGET);
    ck_assert_int_eq(call_of("ZSCORE k m").command->batch, REDIS_BATCH_ZMSCORE);
    ck_assert_int_eq(call_of("HGETALL k").command->batch, REDIS_BATCH_SAME);
    ck_assert_int_eq(call_of("TTL k").command->batch, REDIS_BATCH_SAME);
    for (size_t i = 0; i < redis_command_row_count; i++) {
        const struct redis_command *row = &redis_command_rows[i];
        static const char *const never[] = {
            "scan",        "sscan",      "hscan",           "zscan",       "randomkey",
            "srandmember", "hrandfield", "lolwut",          "time",        "zrandmember",
            "touch",       "pfcount",    "object|idletime", "object|freq", "xpending",
            "eval_ro",     "evalsha_ro", "fcall_ro",        "xread",       "xinfo|consumers",
        };

        if (row->batch == REDIS_BATCH_NONE)
            continue;
        ck_assert_msg(row->flags & REDIS_READONLY && row->class == REDIS_CLASS_SHARED, "%s",
                      row->name);
        for (size_t k = 0; k < sizeof(never) / sizeof(never[0]); k++)
            ck_assert_str_ne(row->name, never[k]);
    }
}
END_TEST

/* The first `bytes` of a larger request. */
static struct redis_call call_of_large(const char *head)
{
    struct resp_request_parser parser;
    struct resp_request request;

    resp_request_parser_init(&parser, false);
    ck_assert_int_eq(resp_request_next(&parser, (const uint8_t *)head, strlen(head), &request),
                     RESP_REQUEST_LONG);
    return redis_command_classify((const uint8_t *)head, &request);
}

START_TEST(what_is_too_long_to_be_seen_gets_the_most_care)
{
    struct redis_call call;

    call = call_of_large("*3\r\n$3\r\nSET\r\n$1\r\na\r\n$100000\r\n");
    ck_assert_int_eq(call.class, REDIS_CLASS_SHARED);
    call = call_of_large("*3\r\n$100000\r\n");
    ck_assert_int_eq(call.class, REDIS_CLASS_SINGLE);
    ck_assert_str_eq(call.command->name, "");
    call = call_of_large("*3\r\n$6\r\nCLIENT\r\n$100000\r\n");
    ck_assert_int_eq(call.class, REDIS_CLASS_SINGLE);
    ck_assert(call.flags & REDIS_STATE);
    call = call_of_large("*8\r\n$5\r\nXREAD\r\n$5\r\nCOUNT\r\n$100000\r\n");
    ck_assert_int_eq(call.class, REDIS_CLASS_SINGLE);
    ck_assert(call.flags & REDIS_BLOCKING);
    call = call_of_large("*8\r\n$5\r\nXREAD\r\n$7\r\nSTREAMS\r\n$100000\r\n");
    ck_assert_int_eq(call.class, REDIS_CLASS_SHARED);
    call = call_of_large("*4\r\n$6\r\nCLIENT\r\n$8\r\nTRACKING\r\n$100000\r\n");
    ck_assert_int_eq(call.class, REDIS_CLASS_LEASE);
}
END_TEST

/* Finds a row by its name, as the index is asked for it. */
static const struct redis_command *find(const char *name, size_t length)
{
    const char *bar = memchr(name, '|', length);
    const struct redis_command *row;

    if (!bar)
        return redis_command_find(name, length);
    row = redis_command_find(name, (size_t)(bar - name));
    return row && row->flags & REDIS_CONTAINER
               ? redis_subcommand_find(row, bar + 1, length - (size_t)(bar + 1 - name))
               : NULL;
}

/* How many names that differ from the row's in one byte, and not in its case, find it. */
static int look_alikes(const struct redis_command *row)
{
    size_t length = strlen(row->name);
    char name[64];
    int count = 0;

    for (size_t k = 0; k < length; k++) {
        memcpy(name, row->name, length);
        for (int byte = 0; byte < 256; byte++) {
            name[k] = (char)byte;
            count += tolower(byte) != tolower(row->name[k]) && find(name, length) == row;
        }
    }
    return count;
}

START_TEST(each_row_is_found_in_any_case_and_nothing_else_is)
{
    for (size_t i = 0; i < redis_command_row_count; i++) {
        const struct redis_command *row = &redis_command_rows[i];
        char name[64];
        size_t length = strlen(row->name);

        ck_assert(i == 0 || strcmp(row[-1].name, row->name) != 0);
        for (int upper = 0; upper < 3; upper++) {
            for (size_t k = 0; k <= length; k++)
                name[k] =
                    (char)((upper + k) % 2 || upper == 2 ? toupper(row->name[k]) : row->name[k]);
            ck_assert_msg(find(name, length) == row, "%s", name);
        }
        ck_assert_msg(look_alikes(row) == 0, "%s", row->name);
        memcpy(name, row->name, length);
        name[length] = 'x';
        ck_assert(find(name, length + 1) != row && find(name, length - 1) != row);
    }
    ck_assert(!redis_command_find("", 0));
    ck_assert(!redis_command_find("set|get", 7));
    ck_assert(!redis_command_find("setname", 7));
}
END_TEST

START_TEST(subcommands_follow_their_container)
{
    const char *container = "";
    size_t length = 0, subcommands = 0;

    for (size_t i = 0; i < redis_command_row_count; i++) {
        const struct redis_command *row = &redis_command_rows[i];

        if (strchr(row->name, '|')) {
            ck_assert(strncmp(row->name, container, length) == 0 && row->name[length] == '|');
            ck_assert(!(row->flags & REDIS_CONTAINER));
            subcommands++;
        } else if (row->flags & REDIS_CONTAINER) {
            container = row->name;
            length = strlen(container);
        } else {
            length = 0;
            container = "";
        }
    }
    ck_assert_uint_gt(subcommands, 100);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("redis_command");
    TCase *tcase = tcase_create("redis_command");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_loop_test(tcase, each_command_has_its_class, 0,
                        (int)(sizeof(classes) / sizeof(classes[0])));
    tcase_add_test(tcase, only_what_blocks_is_blocking);
    tcase_add_test(tcase, administration_is_gated);
    tcase_add_test(tcase, what_changes_its_connection_is_marked);
    tcase_add_test(tcase, what_runs_inside_multi_is_marked);
    tcase_add_test(tcase, batches_are_those_that_stay_exact);
    tcase_add_test(tcase, what_is_too_long_to_be_seen_gets_the_most_care);
    tcase_add_test(tcase, each_row_is_found_in_any_case_and_nothing_else_is);
    tcase_add_test(tcase, subcommands_follow_their_container);
    suite_add_tcase(suite, tcase);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
