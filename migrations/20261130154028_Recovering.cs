using Microsoft.EntityFrameworkCore.Migrations;

#nullable disable

namespace Exitless.Migrations
{
    /// <inheritdoc />
    public partial class Recovering : Migration
    {
        /// <inheritdoc />
        protected override void Up(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.AddColumn<bool>(
                name: "recovering",
                table: "hosts",
                type: "boolean",
                nullable: false,
                defaultValue: false);
        }

        /// <inheritdoc />
        protected override void Down(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.DropColumn(
                name: "recovering",
                table: "hosts");
        }
    }
}
