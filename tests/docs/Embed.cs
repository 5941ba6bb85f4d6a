// Prints a token of the class that docs/SKYCMS.md shows, for a user with this role.
using System;

public static class Embed
{
    public static void Main(string[] roles)
    {
        var secret = Environment.GetEnvironmentVariable("EMBED_JWT_SECRET");
        Console.WriteLine(EmbedToken.Mint(secret, "ada \"the\" lovelace", roles[0], "default"));
    }
}
