# SPDX-License-Identifier: MIT
# bash completion for duotale: verbs, options and their words, model files, backends, numbers of stories.
_duotale_models() {
    local folder
    for folder in "${XDG_DATA_HOME:-$HOME/.local/share}/duotale/models" .; do
        [ -d "$folder" ] || continue
        find "$folder" -maxdepth 1 \( -name '*.gguf' -o -name '*.bin' \) ! -name 'tok*' ! -name '*.tok.bin' 2>/dev/null
    done
}

_duotale_backends() {
    "$1" backends 2>/dev/null | awk '$1 ~ /^[a-z0-9]+(@[a-z0-9]+)?$/ && $2 ~ /^[0-9]+$/ {print $1; sub(/@.*/, "", $1); print $1}' | sort -u
}

_duotale_options() {
    "$1" "${@:2}" --help 2>/dev/null | grep -o -e '--[][a-z-]*' | sed 's/\[no-\]//; s/[][]//g' | sort -u
}

_duotale() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} program=${COMP_WORDS[0]} verb=
    local verbs="run backends inspect eval bench profile convert voices stories help"
    [[ " $verbs " == *" ${COMP_WORDS[1]} "* ]] && [ "$COMP_CWORD" -gt 1 ] && verb=${COMP_WORDS[1]}
    COMPREPLY=()
    case $before in
    -b | --backend)
        local stack=${word%+*}
        [ "$stack" = "$word" ] && stack= || stack=$stack+
        mapfile -t COMPREPLY < <(compgen -P "$stack" -W "auto $(_duotale_backends "$program")" -- "${word##*+}")
        return
        ;;
    --ui) mapfile -t COMPREPLY < <(compgen -W "auto tui line plain" -- "$word") && return ;;
    --charset) mapfile -t COMPREPLY < <(compgen -W "auto utf8 ascii latin1" -- "$word") && return ;;
    --overflow) mapfile -t COMPREPLY < <(compgen -W "stop new shift" -- "$word") && return ;;
    --stats) mapfile -t COMPREPLY < <(compgen -W "off turn live" -- "$word") && return ;;
    --color) mapfile -t COMPREPLY < <(compgen -W "auto never always" -- "$word") && return ;;
    --theme) mapfile -t COMPREPLY < <(compgen -W "default mono high-contrast" -- "$word") && return ;;
    -m | --mode) mapfile -t COMPREPLY < <(compgen -W "auto story chat generate" -- "$word") && return ;;
    --kv) mapfile -t COMPREPLY < <(compgen -W "f32 f16" -- "$word") && return ;;
    esac
    if [ "$verb" = stories ]; then
        case $before in
        stories) mapfile -t COMPREPLY < <(compgen -W "list show search export rm" -- "$word") ;;
        show | export | rm)
            mapfile -t COMPREPLY < <(compgen -W "$("$program" stories list 2>/dev/null | awk '{print $1}')" -- "$word")
            ;;
        *) mapfile -t COMPREPLY < <(compgen -f -- "$word") ;;
        esac
    elif [[ $word == -* ]]; then
        # shellcheck disable=SC2086
        mapfile -t COMPREPLY < <(compgen -W "$(_duotale_options "$program" $verb)" -- "$word")
    else
        local words
        words=$(_duotale_models)
        [ "$COMP_CWORD" -eq 1 ] && words="$verbs $words"
        mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word"; compgen -f -- "$word")
    fi
}
complete -o filenames -F _duotale duotale
