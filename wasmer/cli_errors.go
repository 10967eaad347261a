package wasmer

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// cliStatus is the end of a command with a status of its own. Without an error there is nothing to say.
type cliStatus struct {
	code int
	err  error
}

func (e *cliStatus) Error() string { return fmt.Sprintf("status %d: %v", e.code, e.err) }

func (e *cliStatus) Unwrap() error { return e.err }

// cliExplain says where an error comes from, without the prefixes that repeat it.
func cliExplain(title string, err error) error {
	message := strings.TrimPrefix(err.Error(), "wasmer: ")
	var path *fs.PathError
	var compile *CompileError
	var trap *Trap
	switch {
	case errors.As(err, &path):
		message = path.Err.Error()
	case errors.As(err, &compile):
		// Where the text parser points at a place, it lacks the file's name.
		message = strings.Replace(strings.TrimPrefix(message, "compile: "), "--> text:", "--> "+title+":", 1)
	case errors.As(err, &trap):
		message = trap.headline() + trap.stackTrace(20, 5)
	}
	return fmt.Errorf("%s: %s", title, message)
}

// cliHint adds what to do about an error.
func cliHint(err error, format string, args ...any) error {
	return fmt.Errorf("%w\nHint: %s", err, fmt.Sprintf(format, args...))
}

// cliPrintable escapes what a terminal would obey: names in modules are anything.
func cliPrintable(s string) string {
	var b strings.Builder
	for _, r := range s {
		if strconv.IsPrint(r) || r == '\n' || r == '\t' {
			b.WriteRune(r)
		} else {
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		}
	}
	return b.String()
}

// cliExplainUnreadable is cliExplain for a file that cannot be read.
func cliExplainUnreadable(file string, err error) error {
	explained := cliExplain(file, err)
	switch info, statErr := os.Stat(file); {
	case errors.Is(err, fs.ErrNotExist):
		if near := cliNearestFile(file); near != "" {
			return cliHint(explained, "is %s meant?", near)
		}
		return cliHint(explained, "FILE is the path of a .wasm or .wat file; - reads stdin")
	case statErr == nil && info.IsDir():
		return cliHint(explained, "FILE is a .wasm or .wat file in it; --dir gives a folder to the guest")
	}
	return explained
}

// cliNearestFile is the module in the same folder whose name is most like that of a missing file.
func cliNearestFile(file string) string {
	folder, base := filepath.Split(file)
	entries, _ := os.ReadDir(filepath.Clean(folder + "."))
	var names []string
	for _, entry := range entries {
		name := entry.Name()
		switch ext := filepath.Ext(name); {
		case ext != ".wasm" && ext != ".wat":
		case strings.TrimSuffix(name, ext) == base:
			return folder + name
		default:
			names = append(names, name)
		}
	}
	if near := nearest(base, names); near != "" {
		return folder + near
	}
	return ""
}

// explainInvalid is cliExplain for a module that was refused.
func (c *cli) explainInvalid(wasm []byte, err error) error {
	explained := cliExplain(c.title(), err)
	var compile *CompileError
	if !errors.As(err, &compile) || bytes.HasPrefix(wasm, []byte("\x00asm")) {
		return explained
	}
	if hint := cliForeignFile(wasm); hint != "" {
		return cliHint(explained, "%s", hint)
	}
	if compile.Offset > 0 {
		return fmt.Errorf("%w; the offset is in the binary made by wat2wasm", explained)
	}
	return explained
}

// cliForeignFile tells what other file it is, and what to do with it.
func cliForeignFile(data []byte) string {
	for _, format := range []struct{ magic, hint string }{
		{"", "the file is empty: did the build that makes it fail?"},
		{"\x7fELF", "it is a program of this system: build it for WebAssembly, for instance for wasm32-wasip1"},
		{"!<arch>\n", "it is a static library: link it to a module"},
		{"BC\xc0\xde", "it is LLVM bitcode: link it to a module"},
		{"\x1f\x8b", "it is compressed: unpack it with gunzip"},
		{"PK\x03\x04", "it is an archive: unpack it with unzip"},
		{"version https://git-lfs", "it stands for a large file of git: fetch that with git lfs pull"},
		{"#!", "it is a script, not a module"},
		{"<", "it is a page of the web: was the download refused?"},
	} {
		if len(data) == 0 || format.magic != "" && bytes.HasPrefix(data, []byte(format.magic)) {
			return format.hint
		}
	}
	return ""
}

// explainLink lists the imports that do not fit one by one: there can be dozens.
func (c *cli) explainLink(link *LinkError) error {
	missing, misfits := [][]string{}, [][]string{}
	stubbable := !c.has("stub-unknown")
	var hints []string
	for _, i := range link.Imports {
		row := []string{i.Want.Kind.String(), cliQuote(i.Module), cliQuote(i.Name), i.Want.String()}
		if i.Given != nil {
			misfits = append(misfits, append(row, "is given as "+i.Given.Kind.String(), i.Given.String()))
			stubbable = false
			continue
		}
		missing = append(missing, row)
		stubbable = stubbable && i.Want.Kind == ExternFunction
		if hint := cliImportHint(i); hint != "" && !slices.Contains(hints, hint) {
			hints = append(hints, hint)
		}
	}
	var parts []string
	if len(missing) > 0 {
		parts = append(parts, "missing imports:\n"+cliTable(missing))
	}
	if len(misfits) > 0 {
		parts = append(parts, "imports of another type:\n"+cliTable(misfits))
	}
	if stubbable {
		hints = append(hints, "with --stub-unknown it runs, until it calls one of them")
	}
	for _, hint := range hints {
		parts = append(parts, "Hint: "+hint)
	}
	return fmt.Errorf("%s: %s", c.title(), strings.Join(parts, "\n"))
}

// cliImportHint says what kind of guest imports this.
func cliImportHint(i ImportError) string {
	switch {
	case strings.HasPrefix(i.Module, "wasix_"):
		return "the guest is made for WASIX: build it for WASI preview 1, wasm32-wasip1"
	case strings.HasPrefix(i.Module, "wasi_snapshot_preview1"), strings.HasPrefix(i.Module, "wasi_unstable"):
		return "WASI preview 1 has no function of this name"
	case strings.HasPrefix(i.Module, "wasi"):
		return "the guest is made for another version of WASI: build it for preview 1, wasm32-wasip1"
	case i.Module == "go" || i.Module == "gojs":
		return "the guest is made for JavaScript, with GOOS=js: build it with GOOS=wasip1"
	}
	return i.Hint
}
