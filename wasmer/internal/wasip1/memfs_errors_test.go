package wasip1

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Operations on a sample, and what is wrong with them.
func TestMemFSErrors(t *testing.T) {
	long, longest := strings.Repeat("n", 256), strings.Repeat("a/", 2049)
	mkdir := func(path string) func(Dir) error { return func(d Dir) error { return d.MakeDir(path) } }
	rmdir := func(path string) func(Dir) error { return func(d Dir) error { return d.RemoveDir(path) } }
	unlink := func(path string) func(Dir) error { return func(d Dir) error { return d.Unlink(path) } }
	symlink := func(target, path string) func(Dir) error {
		return func(d Dir) error { return d.Symlink(target, path) }
	}
	link := func(path, to string) func(Dir) error { return func(d Dir) error { return d.Link(path, d, to) } }
	rename := func(path, to string) func(Dir) error { return func(d Dir) error { return d.Rename(path, d, to) } }
	readlink := func(path string) func(Dir) error {
		return func(d Dir) error {
			_, err := d.ReadLink(path)
			return err
		}
	}
	for name, test := range map[string]struct {
		do   func(Dir) error
		want error
	}{
		"an empty path":                         {stating("", true), ENOENT},
		"an absolute path":                      {stating("/file", true), EPERM},
		"a path with NUL":                       {stating("file\x00", true), EINVAL},
		"a name of 256 bytes":                   {stating(long, true), ENAMETOOLONG},
		"a new name of 256 bytes":               {mkdir(long), ENAMETOOLONG},
		"a new name of 255 bytes":               {mkdir(long[1:]), nil},
		"a path of 4098 bytes":                  {stating(longest, true), ENAMETOOLONG},
		"the directory itself":                  {stating(".", true), nil},
		"above the directory":                   {stating("..", true), EPERM},
		"above the directory and back":          {stating("../dir", true), EPERM},
		"up and down within":                    {stating("dir/../dir/nested/../nested", true), nil},
		"up too far":                            {stating("dir/../..", true), EPERM},
		"up from a file":                        {stating("file/..", true), ENOTDIR},
		"up from nothing":                       {stating("missing/..", true), ENOENT},
		"up from a link's directory":            {stating("dirlink/../file", true), nil},
		"a link that leads up within":           {stating("dir/up", true), nil},
		"dots and slashes":                      {stating(".//./dir///nested/./", true), nil},
		"a file's dot":                          {stating("file/.", true), ENOTDIR},
		"a file with a slash":                   {stating("file/", true), ENOTDIR},
		"a link to a file with a slash":         {stating("link/", false), ENOTDIR},
		"a link to a directory with a slash":    {stating("dirlink/", false), nil},
		"beneath a file":                        {stating("file/x", true), ENOTDIR},
		"beneath nothing":                       {stating("missing/x", true), ENOENT},
		"a dangling link":                       {stating("dangling", true), ENOENT},
		"a dangling link itself":                {stating("dangling", false), nil},
		"a link to itself":                      {stating("loop", true), ELOOP},
		"a link to itself on the way":           {stating("loop/x", false), ELOOP},
		"a link that leads outside":             {stating("outside", true), EPERM},
		"a link that leads outside on the way":  {stating("outside/x", false), EPERM},
		"a link that leads outside itself":      {stating("outside", false), nil},
		"open nothing":                          {opening("missing", toChange), ENOENT},
		"open a directory to write":             {opening("dir", toChange), EISDIR},
		"open a directory to truncate":          {opening("dir", OpenOptions{Read: true, Truncate: true}), EISDIR},
		"open a directory":                      {opening("dir", OpenOptions{Read: true}), nil},
		"open a file as a directory":            {opening("file", OpenOptions{Directory: true}), ENOTDIR},
		"open a file with a slash":              {opening("file/", OpenOptions{Read: true}), ENOTDIR},
		"open a link unfollowed":                {opening("link", OpenOptions{Read: true}), ELOOP},
		"open a link unfollowed as a directory": {opening("dirlink", OpenOptions{Directory: true}), ELOOP},
		"open a link with a slash":              {opening("dirlink/", OpenOptions{Directory: true}), nil},
		"open a link":                           {opening("dirlink", OpenOptions{Directory: true, Follow: true}), nil},
		"create what is there":                  {opening("file", toCreate), nil},
		"create a directory":                    {opening("dir", toCreate), EISDIR},
		"create a directory to read":            {opening("dir", OpenOptions{Read: true, Create: true}), EISDIR},
		"create with a slash":                   {opening("new/", toCreate), EISDIR},
		"create a file with a slash":            {opening("file/", toCreate), EISDIR},
		"create the directory itself":           {opening("./", toCreate), EISDIR},
		"create beneath nothing":                {opening("missing/new", toCreate), ENOENT},
		"create beneath a file":                 {opening("file/new", toCreate), ENOTDIR},
		"create through a dangling link":        {opening("dangling", toCreate), nil},
		"create through a link unfollowed":      {opening("dangling", OpenOptions{Write: true, Create: true}), ELOOP},
		"create through a link outside":         {opening("outside", toCreate), EPERM},
		"create and open as a directory":        {opening("new", OpenOptions{Create: true, Directory: true}), EINVAL},
		"create exclusively what is there":      {opening("file", OpenOptions{Write: true, Create: true, Exclusive: true}), EEXIST},
		"create exclusively a directory":        {opening("dir", OpenOptions{Create: true, Exclusive: true}), EEXIST},
		"create exclusively a link": {
			opening("dangling", OpenOptions{Create: true, Exclusive: true, Follow: true}), EEXIST,
		},
		"make a directory":                      {mkdir("new"), nil},
		"make a directory with a slash":         {mkdir("new/"), nil},
		"make a directory that is there":        {mkdir("dir"), EEXIST},
		"make a directory of a file":            {mkdir("file"), EEXIST},
		"make a directory of a link":            {mkdir("dangling"), EEXIST},
		"make the directory itself":             {mkdir("."), EEXIST},
		"make a directory beneath nothing":      {mkdir("missing/new"), ENOENT},
		"make a directory beneath a file":       {mkdir("file/new"), ENOTDIR},
		"make a directory outside":              {mkdir("../new"), EPERM},
		"remove a directory":                    {rmdir("empty"), nil},
		"remove a directory with a slash":       {rmdir("empty/"), nil},
		"remove a directory with entries":       {rmdir("dir"), ENOTEMPTY},
		"remove a directory that is a file":     {rmdir("file"), ENOTDIR},
		"remove a directory that is a link":     {rmdir("dirlink"), ENOTDIR},
		"remove a directory through a link":     {rmdir("dirlink/"), ENOTDIR},
		"remove no directory":                   {rmdir("missing"), ENOENT},
		"remove the directory itself":           {rmdir("."), EINVAL},
		"remove the directory above":            {rmdir("dir/.."), ENOTEMPTY},
		"unlink a file":                         {unlink("file"), nil},
		"unlink a link":                         {unlink("loop"), nil},
		"unlink nothing":                        {unlink("missing"), ENOENT},
		"unlink nothing with a slash":           {unlink("missing/"), ENOENT},
		"unlink a file with a slash":            {unlink("file/"), ENOTDIR},
		"unlink a link with a slash":            {unlink("dirlink/"), ENOTDIR},
		"unlink a directory":                    {unlink("empty"), EISDIR},
		"unlink a directory with a slash":       {unlink("empty/"), EISDIR},
		"unlink the directory itself":           {unlink("."), EISDIR},
		"symlink":                               {symlink("x", "new"), nil},
		"symlink to an absolute path":           {symlink("/etc", "new"), EPERM},
		"symlink to nothing":                    {symlink("", "new"), ENOENT},
		"symlink to too long a path":            {symlink(longest[:4096], "new"), ENAMETOOLONG},
		"symlink to a long path":                {symlink(longest[:4095], "new"), nil},
		"symlink to NUL":                        {symlink("a\x00", "new"), EINVAL},
		"symlink where something is":            {symlink("x", "file"), EEXIST},
		"symlink where something is with slash": {symlink("x", "dir/"), EEXIST},
		"symlink with a slash":                  {symlink("x", "new/"), ENOENT},
		"link":                                  {link("file", "new"), nil},
		"link a link":                           {link("dangling", "new"), nil},
		"link a directory":                      {link("dir", "new"), EPERM},
		"link nothing":                          {link("missing", "new"), ENOENT},
		"link a file with a slash":              {link("file/", "new"), ENOTDIR},
		"link where something is":               {link("file", "link"), EEXIST},
		"link with a slash":                     {link("file", "new/"), ENOENT},
		"read a link":                           {readlink("link"), nil},
		"read a link that is a file":            {readlink("file"), EINVAL},
		"read a link with a slash":              {readlink("dirlink/"), EINVAL},
		"read no link":                          {readlink("missing"), ENOENT},
		"rename":                                {rename("file", "dir/new"), nil},
		"rename nothing":                        {rename("missing", "new"), ENOENT},
		"rename nothing onto itself":            {rename("missing", "missing"), ENOENT},
		"rename beneath nothing":                {rename("file", "missing/new"), ENOENT},
		"rename a file onto a file":             {rename("file", "dir/nested/inner"), nil},
		"rename a file onto itself":             {rename("file", "./file"), nil},
		"rename a file onto a link":             {rename("file", "link"), nil},
		"rename a file onto a directory":        {rename("file", "empty"), EISDIR},
		"rename a file with a slash":            {rename("file/", "new"), ENOTDIR},
		"rename a file to a new directory":      {rename("file", "new/"), ENOTDIR},
		"rename a link with a slash":            {rename("dirlink/", "new"), ENOTDIR},
		"rename a directory":                    {rename("dir/", "new/"), nil},
		"rename a directory onto an empty one":  {rename("dir", "empty"), nil},
		"rename a directory onto a full one":    {rename("empty", "dir"), ENOTEMPTY},
		"rename a directory onto a file":        {rename("empty", "file"), ENOTDIR},
		"rename a directory into itself":        {rename("dir", "dir/new"), EINVAL},
		"rename a directory beneath itself":     {rename("dir", "dirlink/nested/new"), EINVAL},
		"rename a directory onto its parent":    {rename("dir/nested", "dir"), ENOTEMPTY},
		"rename a file onto its directory":      {rename("dir/nested/inner", "dir"), ENOTEMPTY},
		"rename the directory itself":           {rename(".", "new"), EBUSY},
		"rename onto the directory itself":      {rename("dir", "."), EBUSY},
		"rename to outside":                     {rename("file", "../new"), EPERM},
		"rename to too long a name":             {rename("file", long), ENAMETOOLONG},
	} {
		t.Run(name, func(t *testing.T) {
			m, root := memSample(t)
			err := test.do(root)
			if test.want == nil {
				require.NoError(t, err)
			} else {
				require.Equal(t, test.want, err)
			}
			require.NoError(t, root.Close())
			requireConsistent(t, m)
		})
	}
}
