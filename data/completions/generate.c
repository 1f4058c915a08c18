// SPDX-License-Identifier: MIT
// Prints the completions for a shell from the program's own tables. Runs on the build machine.
//     completions bash | zsh | fish
#include <string.h>

#include "verbs/options.h"

// What a shell offers for a value.
enum offer { NOTHING, ANYTHING, WORDS, FILES, MODELS, BACKENDS, VOICES, STORIES };

// An option or setting, as all shells need it.
struct flag {
    const char *name, *value, *help, *words;
    char letter;
    bool negated;  // --no-NAME as well
    bool optional; // the value may be left out, and follows '='
    enum offer offer;
};

static struct flag flag_of_option(const struct dt_option *o)
{
    static const enum offer offers[] = {
        [DT_OPTION_SWITCH] = NOTHING,  [DT_OPTION_INT] = ANYTHING,  [DT_OPTION_REAL] = ANYTHING,
        [DT_OPTION_RANDOM] = ANYTHING, [DT_OPTION_CHOICE] = WORDS,  [DT_OPTION_TEXT] = ANYTHING,
        [DT_OPTION_FILE] = FILES,      [DT_OPTION_MODEL] = MODELS,  [DT_OPTION_STACK] = BACKENDS,
        [DT_OPTION_VOICES] = VOICES,   [DT_OPTION_STORY] = STORIES, [DT_OPTION_SOUND] = FILES,
    };
    return (struct flag){
        .name = o->name,
        .value = o->value,
        .help = o->help,
        .words = o->choices,
        .letter = o->letter,
        .optional = o->type == DT_OPTION_STORY || o->type == DT_OPTION_SOUND,
        .offer = offers[o->type],
    };
}

static struct flag flag_of_setting(int id)
{
    const struct dt_setting *s = &dt_settings_table()[id];
    struct flag f = {.name = s->name,
                     .value = s->value,
                     .help = s->help,
                     .words = s->choices,
                     .letter = s->letter,
                     .negated = s->type == DT_SETTING_BOOL};
    if (f.negated)
        return f;
    f.offer = s->type == DT_SETTING_CHOICE ? WORDS : s->type == DT_SETTING_FILE ? FILES : ANYTHING;
    if (id == DT_SET_MODEL)
        f.offer = MODELS;
    if (id == DT_SET_BACKEND)
        f.offer = BACKENDS;
    if (id == DT_SET_VOICE)
        f.offer = VOICES;
    if (id == DT_SET_UI) {
        f.offer = WORDS;
        f.words = "auto tui line plain";
    }
    return f;
}

// Flag i of a page: its own options, then its settings. False past the last one.
static bool flag_at(const struct dt_verb_page *page, size_t i, struct flag *out)
{
    const struct dt_option *o = page->options;
    for (size_t k = 0; o->name && k < i; k++)
        o++;
    if (o->name) {
        *out = flag_of_option(o);
        return true;
    }
    i -= (size_t)(o - page->options);
    if (i >= page->setting_count)
        return false;
    *out = flag_of_setting(page->settings ? page->settings[i] : (int)i);
    // the letter of an own option has precedence over that of a setting
    for (o = page->options; o->name; o++) {
        if (o->letter && o->letter == out->letter)
            out->letter = 0;
    }
    return true;
}

static const struct dt_verb_page *page_at(int verb)
{
    return dt_verb_page((enum dt_verb_id)verb);
}

static const char *function_name(const struct dt_verb_page *page)
{
    return *page->name ? page->name : "session";
}

// Writes text with a backslash before each of `special`, and single quotes for a quoted word.
static void quoted(const char *text, const char *special)
{
    for (; *text; text++) {
        if (*text == '\'') {
            fputs("'\\''", stdout);
            continue;
        }
        if (strchr(special, *text))
            putchar('\\');
        putchar(*text);
    }
}

static void verb_names(void)
{
    for (int v = DT_VERB_SESSION + 1; v < DT_VERB_COUNT; v++)
        printf("%s ", page_at(v)->name);
    fputs("help", stdout);
}

// The first words of the forms of `stories`: list, show ...
static void story_commands(void)
{
    const char *at = page_at(DT_VERB_STORIES)->synopsis, *space = "";
    while (*at) {
        at += strspn(at, "[");
        size_t n = strcspn(at, "] \n");
        printf("%s%.*s", space, (int)n, at);
        space = " ";
        at += strcspn(at, "\n");
        at += *at == '\n';
    }
}

static void print_lines(const char *const *lines, size_t count)
{
    for (size_t i = 0; i < count; i++)
        puts(lines[i]);
}

#define PRINT(lines) print_lines(lines, sizeof(lines) / sizeof *(lines))

// Shell code that all need: what the program itself lists, with PROGRAM in place of its name.
#define LIST_BACKENDS                                                                              \
    " backends 2>/dev/null | awk '$1 ~ /^[a-z0-9]+(@[a-z0-9]+)?$/ && $2 ~ /^[0-9]+$/ {print $1; "  \
    "sub(/@.*/, \"\", $1); print $1}' | sort -u"
#define LIST_STORIES " stories list 2>/dev/null | awk '{print $1}'"
#define LIST_VOICES  " voices 2>/dev/null | awk '$1 == \"voice\" {print $2}'"

// ---- bash ----

static const char *const bash_head[] = {
    "# bash completion for duotale, generated from the program's tables of options.",
    "_duotale_models() {",
    "    local folder",
    "    for folder in \"${XDG_DATA_HOME:-$HOME/.local/share}/duotale/models\" .; do",
    "        [ -d \"$folder\" ] || continue",
    ("        find \"$folder\" -maxdepth 1 \\( -name '*.gguf' -o -name '*.bin' \\) ! -name 'tok*' "
     "\\"),
    "            ! -name '*.tok.bin' 2>/dev/null",
    "    done",
    "}",
    "",
};

static const char *const bash_tail[] = {
    "    case $offer in",
    "    backends)",
    "        local stack=${word%+*}",
    "        [ \"$stack\" = \"$word\" ] && stack= || stack=$stack+",
    ("        mapfile -t COMPREPLY < <(compgen -P \"$stack\" -W \"auto "
     "$(\"$program\"" LIST_BACKENDS ")\" -- \"${word##*+}\")"),
    "        ;;",
    "    stories) words=$(\"$program\"" LIST_STORIES ") ;;",
    "    voices) words=\"auto $(\"$program\"" LIST_VOICES ")\" ;;",
    "    models) words=$(_duotale_models) ;;",
    "    esac",
    "    case $offer in",
    "    backends | anything) ;;",
    "    files) mapfile -t COMPREPLY < <(compgen -f -- \"$word\") ;;",
    ("    models) mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$word\"; compgen -f -- "
     "\"$word\") ;;"),
    "    *) mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$word\") ;;",
    "    esac",
    "}",
    "complete -o filenames -F _duotale duotale",
};

static const char *offer_name(enum offer offer)
{
    static const char *const names[] = {"nothing", "anything", "words",  "files",
                                        "models",  "backends", "voices", "stories"};
    return names[offer];
}

static void bash_verb(const struct dt_verb_page *page)
{
    struct flag f;
    printf("_duotale_%s() {\n    options=\"", function_name(page));
    for (size_t i = 0; flag_at(page, i, &f); i++) {
        if (f.letter)
            printf("-%c ", f.letter);
        printf("--%s ", f.name);
        if (f.negated)
            printf("--no-%s ", f.name);
    }
    puts("\"\n    case $before in");
    for (size_t i = 0; flag_at(page, i, &f); i++) {
        if (f.offer == NOTHING)
            continue;
        fputs("    ", stdout);
        if (f.optional) // the value follows '=' only
            printf("--%s=", f.name);
        else if (f.letter)
            printf("-%c | --%s | --%s=", f.letter, f.name, f.name);
        else
            printf("--%s | --%s=", f.name, f.name);
        printf(") offer=%s", offer_name(f.offer));
        if (f.offer == WORDS)
            printf(" words=\"%s\"", f.words);
        puts(" ;;");
    }
    puts("    esac\n}\n");
}

static void bash(void)
{
    PRINT(bash_head);
    for (int v = 0; v < DT_VERB_COUNT; v++)
        bash_verb(page_at(v));
    fputs("_duotale() {\n"
          "    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}\n"
          "    local program=${COMP_WORDS[0]} verb=session options= words= offer=\n"
          "    local verbs=\"",
          stdout);
    verb_names();
    fputs("\"\n"
          "    [[ \" $verbs \" == *\" ${COMP_WORDS[1]} \"* ]] && [ \"$COMP_CWORD\" -gt 1 ] && "
          "verb=${COMP_WORDS[1]}\n"
          "    [ \"$verb\" = help ] && return\n"
          "    COMPREPLY=()\n"
          "    # bash splits words at '='\n"
          "    if [ \"$word\" = = ]; then\n"
          "        word='' before=$before=\n"
          "    elif [ \"$before\" = = ] && [ \"$COMP_CWORD\" -gt 1 ]; then\n"
          "        before=${COMP_WORDS[COMP_CWORD - 2]}=\n"
          "    fi\n"
          "    \"_duotale_$verb\"\n"
          "    if [ -z \"$offer\" ]; then\n"
          "        if [[ $word == -* ]]; then\n"
          "            offer=words words=$options\n"
          "        elif [ \"$verb\" = stories ] && [ \"$COMP_CWORD\" -eq 2 ]; then\n"
          "            offer=words words=\"",
          stdout);
    story_commands();
    puts("\"\n"
         "        elif [ \"$verb\" = stories ]; then\n"
         "            case $before in\n"
         "            show | export | rm) offer=stories ;;\n"
         "            *) offer=files ;;\n"
         "            esac\n"
         "        elif [ \"$COMP_CWORD\" -eq 1 ]; then\n"
         "            mapfile -t COMPREPLY < <(compgen -W \"$verbs $(_duotale_models)\" -- "
         "\"$word\"; "
         "compgen -f -- \"$word\")\n"
         "            return\n"
         "        else\n"
         "            offer=models\n"
         "        fi\n"
         "    fi");
    PRINT(bash_tail);
}

// ---- zsh ----

static const char *const zsh_head[] = {
    "#compdef duotale",
    "# zsh completion for duotale, generated from the program's tables of options.",
    "",
    "_duotale_offer_models() {",
    "    local -a models",
    "    models=(${XDG_DATA_HOME:-$HOME/.local/share}/duotale/models/*.(gguf|bin)(N))",
    "    compadd -a models",
    "    _files",
    "}",
    "",
    "_duotale_offer_backends() {",
    "    local -a names",
    "    names=(auto ${(f)\"$($_duotale_program" LIST_BACKENDS ")\"})",
    "    compset -P '*+'",
    "    compadd -a names",
    "}",
    "",
    "_duotale_offer_voices() {",
    "    compadd auto ${(f)\"$($_duotale_program" LIST_VOICES ")\"}",
    "}",
    "",
    "_duotale_offer_story_numbers() {",
    "    compadd ${(f)\"$($_duotale_program" LIST_STORIES ")\"}",
    "}",
    "",
};

static void zsh_action(const struct flag *f)
{
    switch (f->offer) {
    case NOTHING:
        return;
    case WORDS:
        printf("(%s)", f->words);
        return;
    case FILES:
        fputs("_files", stdout);
        return;
    case MODELS:
    case BACKENDS:
    case VOICES:
        printf("_duotale_offer_%s", offer_name(f->offer));
        return;
    case STORIES:
        fputs("_duotale_offer_story_numbers", stdout);
        return;
    default:
        putchar(' ');
    }
}

static void zsh_verb(const struct dt_verb_page *page)
{
    static const char *const operands[] = {
        [DT_OPERAND_NONE] = "",
        [DT_OPERAND_MODEL] = " '*:model:_duotale_offer_models'",
        [DT_OPERAND_MODEL_AND_FILES] = " '*:file:_duotale_offer_models'",
        [DT_OPERAND_STORIES] =
            " '1:command:_duotale_offer_story_commands' '*:story:_duotale_offer_story_operand'",
    };
    struct flag f;
    printf("_duotale_%s() {\n    _arguments -s", function_name(page));
    for (size_t i = 0; flag_at(page, i, &f); i++) {
        fputs(" \\\n        ", stdout);
        if (f.letter)
            printf("'(-%c --%s)'{-%c%s,--%s%s}", f.letter, f.name, f.letter,
                   f.offer == NOTHING ? "" : "+", f.name, f.offer == NOTHING ? "" : "=");
        else
            printf("--%s%s", f.name, f.offer == NOTHING ? "" : f.optional ? "=-" : "=");
        printf("'[");
        quoted(f.help, "[]\\");
        putchar(']');
        if (f.offer != NOTHING) {
            fputs(f.optional ? "::" : ":", stdout);
            quoted(f.value, ":\\");
            putchar(':');
            zsh_action(&f);
        }
        putchar('\'');
        if (f.negated) {
            printf(" \\\n        --no-%s'[Turns --%s off.]'", f.name, f.name);
        }
    }
    if (*operands[page->operand])
        printf(" \\\n       %s", operands[page->operand]);
    puts("\n}\n");
}

static void zsh(void)
{
    PRINT(zsh_head);
    fputs("_duotale_offer_story_commands() {\n    compadd ", stdout);
    story_commands();
    puts("\n}\n\n"
         "_duotale_offer_story_operand() {\n"
         "    case $line[1] in\n"
         "    show|export|rm) (( CURRENT == 3 )) && _duotale_offer_story_numbers || _files ;;\n"
         "    esac\n"
         "}\n");
    for (int v = 0; v < DT_VERB_COUNT; v++)
        zsh_verb(page_at(v));
    puts("_duotale() {\n"
         "    local _duotale_program=$words[1] curcontext=$curcontext\n"
         "    local -a verbs line\n"
         "    verbs=(");
    for (int v = DT_VERB_SESSION + 1; v < DT_VERB_COUNT; v++) {
        printf("        '%s:", page_at(v)->name);
        quoted(page_at(v)->help, ":\\");
        puts("'");
    }
    puts("        'help:print the help'\n"
         "    )\n"
         "    if (( CURRENT == 2 )) && [[ $PREFIX != -* ]]; then\n"
         "        _describe verb verbs\n"
         "        _duotale_offer_models\n"
         "    elif (( CURRENT > 2 )) && (( ${verbs[(I)$words[2]:*]} )); then\n"
         "        shift words\n"
         "        (( CURRENT-- ))\n"
         "        (( $+functions[_duotale_$words[1]] )) && _duotale_$words[1]\n"
         "    else\n"
         "        _duotale_session\n"
         "    fi\n"
         "}\n\n"
         "_duotale \"$@\"");
}

// ---- fish ----

static const char *const fish_head[] = {
    "# fish completion for duotale, generated from the program's tables of options.",
    "function __duotale_program",
    "    set -l words (commandline -opc)",
    "    echo $words[1]",
    "end",
    "",
    "function __duotale_backends",
    ("    set -l stack (string match -r '^.*\\+' -- (commandline -ct | string replace -r "
     "'^--?[a-z]+=?' ''))"),
    "    set -q stack[1]; or set stack ''",
    "    printf '%s\\n' $stack(begin; echo auto; eval (__duotale_program)" LIST_BACKENDS "; end)",
    "end",
    "",
    "function __duotale_stories",
    "    eval (__duotale_program)" LIST_STORIES,
    "end",
    "",
    "function __duotale_voices",
    "    echo auto",
    "    eval (__duotale_program)" LIST_VOICES,
    "end",
    "",
    "function __duotale_models",
    "    set -l data $XDG_DATA_HOME",
    "    test -n \"$data\"; or set data ~/.local/share",
    "    for file in $data/duotale/models/*.gguf $data/duotale/models/*.bin",
    "        echo $file",
    "    end",
    "    __fish_complete_suffix .gguf",
    "    __fish_complete_suffix .bin",
    "end",
    "",
    "complete -c duotale -f",
};

static void fish_flag(const char *condition, const struct flag *f)
{
    printf("complete -c duotale -n '%s'", condition);
    if (f->letter)
        printf(" -s %c", f->letter);
    printf(" -l %s -d '", f->name);
    for (const char *at = f->help; *at; at++) { // fish's single quotes know \' and backslashes
        if (*at == '\'' || *at == '\\')
            putchar('\\');
        putchar(*at);
    }
    putchar('\'');
    const char *required = f->optional ? "" : " -x";
    if (f->offer == WORDS)
        printf("%s -a '%s'", required, f->words);
    else if (f->offer == FILES)
        fputs(f->optional ? " -F" : " -r -F", stdout);
    else if (f->offer == ANYTHING)
        fputs(required, stdout);
    else if (f->offer != NOTHING)
        printf("%s -a '(__duotale_%s)'", required, offer_name(f->offer));
    putchar('\n');
    if (f->negated)
        printf("complete -c duotale -n '%s' -l no-%s -d 'Turns --%s off.'\n", condition, f->name,
               f->name);
}

static void fish_verb(const struct dt_verb_page *page, const char *condition)
{
    struct flag f;
    for (size_t i = 0; flag_at(page, i, &f); i++)
        fish_flag(condition, &f);
    if (page->operand == DT_OPERAND_MODEL || page->operand == DT_OPERAND_MODEL_AND_FILES)
        printf("complete -c duotale -n '%s' %s -a '(__duotale_models)'\n", condition,
               page->operand == DT_OPERAND_MODEL ? "-f" : "-F");
}

static void fish(void)
{
    char condition[64];
    PRINT(fish_head);
    fputs("set -l __duotale_verbs ", stdout);
    verb_names();
    puts("");
    for (int v = DT_VERB_SESSION + 1; v < DT_VERB_COUNT; v++) {
        printf("complete -c duotale -n __fish_use_subcommand -a %s -d '", page_at(v)->name);
        quoted(page_at(v)->help, "");
        puts("'");
        snprintf(condition, sizeof condition, "__fish_seen_subcommand_from %s", page_at(v)->name);
        fish_verb(page_at(v), condition);
    }
    puts("complete -c duotale -n __fish_use_subcommand -a help -d 'print the help'");
    fish_verb(page_at(DT_VERB_SESSION), "__fish_use_subcommand");
    fputs("complete -c duotale -n '__fish_seen_subcommand_from stories; and not "
          "__fish_seen_subcommand_from ",
          stdout);
    story_commands();
    fputs("' -a '", stdout);
    story_commands();
    puts("'\ncomplete -c duotale -n '__fish_seen_subcommand_from stories; and "
         "__fish_seen_subcommand_from show export rm' -a '(__duotale_stories)'");
}

int main(int argc, char **argv)
{
    const char *shell = argc == 2 ? argv[1] : "";
    if (strcmp(shell, "bash") == 0)
        bash();
    else if (strcmp(shell, "zsh") == 0)
        zsh();
    else if (strcmp(shell, "fish") == 0)
        fish();
    else
        return 2;
    return ferror(stdout) != 0;
}
