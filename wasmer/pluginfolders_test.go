package wasmer

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestF127FoldersOfPluginsFollowTheProgram(t *testing.T) {
	for program, want := range map[string][]string{
		"/usr/local/bin/program": {"/usr/local/plugin", "/usr/local/lib/wasmer-go"},
		"/usr/bin/program":       {"/usr/plugin", "/usr/lib/wasmer-go"},
		"/usrlocal/bin/program":  {"/usrlocal/plugin"},
		"/opt/thing/bin/program": {"/opt/thing/plugin"},
		"/program":               {"/plugin"},
	} {
		require.Equal(t, want, pluginFolders(program), program)
	}
}
